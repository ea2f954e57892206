/**
 * Serves the requests of one operation. A request passes, in this order: its caller, the rates, the scope, the
 * form of its input, the handler, and the form of its answer.
 */
import type { Context } from 'hono';
import { randomUUID } from 'node:crypto';
import { ParleyError } from '../protocol/errors.ts';
import { RestError } from '../protocol/rest-errors.ts';
import { NoAnswer, within } from '../jobs/within.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { isAny, namesTag } from '../http/etags.ts';
import { answeredOf, chosen, compressed, failure, unmodified, type Answered } from './answering.ts';
import type { RequestEnv } from './bridge/bridge.ts';
import type { Callers } from './callers.ts';
import { requireScope, userHeader, type Identity } from './identity.ts';
import { idempotencyKey, idempotentCaller, uuidOf, type Idempotency, type KeyedRequest } from './idempotency.ts';
import { isKeyed, type Answer, type ApiRequest, type Operation } from './operation.ts';
import { Paths, type Projection } from './projection.ts';
import { gatherInput, inputError, inputPlan, type InputPlan } from './request-input.ts';
import type { RequestRates } from './request-rates.ts';
import { requestIds, type RequestIds } from './trace-context.ts';

/** The facts that a handler of Hono has of a request beside the Request. */
export interface RestEnv {
  readonly Bindings: RequestEnv & {
    /** The headers of CORS, which every answer has. */
    readonly cors: Readonly<Record<string, string>>;
  };
}

export type RestContext = Context<RestEnv>;

export interface ServingParts {
  readonly callers: Callers;
  readonly rates: RequestRates;
  readonly idempotency: Idempotency;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The longest time from a request to its answer. Streams are apart: their answer is there when they begin. */
const answerWithinMs = 15_000;
/** A body that the handler reads as a stream may take so long. The bridge limits the time of each of its parts. */
const bodyWithinMs = 6 * 3_600_000;

interface ReadRequest {
  readonly request: ApiRequest;
  readonly projection: Projection | undefined;
  /** Undefined: the request may run again. */
  readonly keyed: KeyedRequest | undefined;
}

export class ServedOperation {
  readonly #operation: Operation;
  readonly #parts: ServingParts;
  readonly #plan: InputPlan;
  readonly #paths: Paths;
  /** The operation that reads the object which this one changes, for If-Match. */
  readonly #reader: Operation | undefined;
  readonly #count: (status: number, seconds: number) => void;

  constructor(operation: Operation, reader: Operation | undefined, parts: ServingParts) {
    this.#operation = operation;
    this.#reader = reader;
    this.#parts = parts;
    this.#count = parts.metrics.rest.answersOf(operation.name);
    this.#plan = inputPlan(operation);
    this.#paths = new Paths(operation.output, operation.route.pages?.items);
  }

  async serve(context: RestContext): Promise<Response> {
    const from = performance.now();
    const ids = idsOf(context);
    let rates: Readonly<Record<string, string>> = {};
    let answered: Answered;
    try {
      const identity = await this.#admit(context, (headers) => (rates = headers));
      const read = await this.#read(context, identity, ids);
      await this.#takeBatch(read.request, (headers) => (rates = headers));
      answered = await this.#answer(context, read);
    } catch (error) {
      answered = failure(reported(error, ids, this.#parts), ids.requestId, { former: this.#operation.lenient });
    }
    this.#count(answered.status, (performance.now() - from) / 1000);
    const { headers: own } = this.#operation.route;
    return respond(context, answered, ids, own, rates);
  }

  async #answer(context: RestContext, { request, projection, keyed }: ReadRequest): Promise<Answered> {
    const { req } = context;
    const ifMatch = req.header('if-match');
    const about = { input: request.input as Readonly<Record<string, unknown>>, projection, url: req.url };
    const run = async (by: typeof about): Promise<Answered> => {
      const conditional = ifMatch === undefined ? request : { ...request, seen: await this.#seen(ifMatch, request) };
      return answeredOf(this.#operation, by, await this.#run(this.#operation, conditional));
    };
    const answered =
      keyed === undefined
        ? await run(about)
        : // the kept answer is whole: the address of a job follows from its id
          chosen(await this.#parts.idempotency.once(keyed, () => run({ ...about, projection: undefined })), projection);
    return compressed(unmodified(answered, req.header('if-none-match')), req.header('accept-encoding'));
  }

  async #run(operation: Operation, request: ApiRequest): Promise<Answer> {
    try {
      const ms = operation.consumes === undefined ? answerWithinMs : bodyWithinMs;
      return await within(ms, Promise.resolve(operation.run(request)));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      throw new ParleyError('unavailable', 'The request took longer than 15 s; it may still take effect.', {
        retryAfter: 1000,
        cause: error,
      });
    }
  }

  /**
   * The object that the client has read. Another write may come before this one, so the handler compares the object again in
   * the statement that writes.
   * @throws {RestError} `precondition_failed` if the object is another one by now
   */
  async #seen(ifMatch: string, request: ApiRequest): Promise<unknown> {
    const reader = this.#reader;
    const { method } = this.#operation.route;
    if (reader === undefined) {
      if (method === 'GET' || method === 'POST') return undefined;
      throw new ParleyError('invalid', 'If-Match: this address compares no ETag.');
    }
    const input = reader.input.parse(request.input);
    const { headers, body } = await this.#readBy(reader, { ...request, input });
    if (!namesTag(ifMatch, headers['ETag'] ?? '')) throw new RestError('precondition_failed');
    return isAny(ifMatch) ? 'any' : (JSON.parse(body as string) as unknown);
  }

  async #readBy(reader: Operation, request: ApiRequest): Promise<Answered> {
    try {
      return answeredOf(reader, { input: {}, projection: undefined, url: '' }, await this.#run(reader, request));
    } catch (error) {
      // a PUT makes an object that is not there; the condition asks for one that is
      if (this.#operation.route.method !== 'PUT' || !isNotFound(error)) throw error;
      throw new RestError('precondition_failed', undefined, { cause: error });
    }
  }

  async #admit(
    { req, env }: RestContext,
    counted: (headers: Readonly<Record<string, string>>) => void,
  ): Promise<Identity> {
    const { rates } = this.#parts;
    const { scope, callers: allowed, ownRate } = this.#operation;
    rates.admit(env.address);
    const identity = await this.#identify(req, env.address);
    if (!ownRate) {
      const { headers, refused } = await rates.take(identity, env.address, this.#operation);
      counted(headers);
      if (refused !== undefined) throw refused;
    }
    if (allowed !== 'anyone') requireScope(identity, scope);
    if (allowed === 'key' && identity.kind !== 'key') throw new ParleyError('forbidden', 'An API key is needed here.');
    return identity;
  }

  /** @throws {ParleyError} `rate_limited` */
  async #takeBatch(
    { identity, address, input }: ApiRequest,
    counted: (headers: Readonly<Record<string, string>>) => void,
  ): Promise<void> {
    const { batch, weight } = this.#operation;
    if (batch === undefined) return;
    const entries = (input as Readonly<Record<string, readonly unknown[]>>)[batch] ?? [];
    if (entries.length < 2) return;
    const { headers, refused } = await this.#parts.rates.takeMore(identity, address, weight * (entries.length - 1));
    counted(headers);
    if (refused !== undefined) throw refused;
  }

  async #identify(req: RestContext['req'], address: string): Promise<Identity> {
    const { callers, rates } = this.#parts;
    try {
      return await callers.identify(req.header('authorization'), req.header(userHeader), address);
    } catch (error) {
      if (error instanceof ParleyError && error.code === 'unauthorized') await rates.failed(address);
      throw error;
    }
  }

  async #read({ req, env }: RestContext, identity: Identity, ids: RequestIds): Promise<ReadRequest> {
    const { consumes, input: schema } = this.#operation;
    const { url, raw } = req;
    const at = url.indexOf('?');
    this.#checkType(req.header('content-type'));
    const body = this.#plan.hasBody ? await req.text() : '';
    const { input, common } = gatherInput(this.#plan, this.#operation, {
      path: req.param(),
      query: at === -1 ? '' : url.slice(at + 1),
      body,
    });
    const key = this.#keyOf(req.header('idempotency-key'), identity);
    let parsed;
    try {
      parsed = schema.safeParse(this.#withId(input, identity, key));
    } catch (error) {
      // zod compares a `length` before it knows that it has a text: one that is no primitive throws in it
      throw new ParleyError('invalid', undefined, { cause: error });
    }
    if (!parsed.success) throw inputError(parsed.error, this.#plan);
    const projection = this.#paths.parse(common);
    const request = {
      identity,
      input: parsed.data,
      address: env.address,
      ids,
      // made on its first use, because few handlers need it
      get signal() {
        return raw.signal;
      },
      header: (name: string) => req.header(name),
      chooses: projection !== undefined,
      body: consumes === undefined ? null : raw.body,
    };
    const content = `${req.method} ${url}\n${body}`;
    const keyed = key === undefined ? undefined : { caller: idempotentCaller(identity), key, content };
    return { request, projection, keyed };
  }

  /** @throws {ParleyError} `invalid` @returns undefined: the request has no key, or reads */
  #keyOf(header: string | undefined, identity: Identity): string | undefined {
    const { route } = this.#operation;
    if (route.secret === true && header !== undefined)
      throw new ParleyError('invalid', 'Idempotency-Key: the answer has a secret, so Parley keeps no answer here.');
    return !isKeyed(this.#operation) || identity.kind === 'anonymous' ? undefined : idempotencyKey(header);
  }

  #withId(input: object, identity: Identity, key: string | undefined): object {
    if (this.#operation.route.generates === undefined || 'id' in input) return input;
    return { ...input, id: key === undefined ? randomUUID() : uuidOf(idempotentCaller(identity), key) };
  }

  #checkType(type: string | undefined): void {
    const expected = this.#operation.consumes ?? (this.#plan.hasBody ? 'application/json' : undefined);
    if (expected === undefined || type === undefined || this.#operation.lenient) return;
    if (type.split(';')[0]?.trim().toLowerCase() === expected) return;
    throw new RestError('unsupported_type', `Content-Type: expected ${expected}.`);
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof ParleyError && error.code === 'not_found';
}

/** The error for the client. A fault goes to the log, with the id that the client gets. */
export function reported(
  thrown: unknown,
  { requestId, trace }: RequestIds,
  { metrics, log }: Pick<ServingParts, 'metrics' | 'log'>,
): ParleyError {
  const error = clientError(thrown);
  if (error instanceof ParleyError) return error;
  // the client has gone while the body was read, so that nobody gets this answer
  if (error instanceof DOMException && error.name === 'AbortError') return new RestError('timeout');
  metrics.internalErrors.inc({ where: 'http' });
  log.error(
    { err: error, requestId, ...(trace === undefined ? {} : { trace: trace.id }) },
    'A request failed; the client got the error `internal`.',
  );
  return new ParleyError('internal');
}

export function idsOf({ req }: RestContext): RequestIds {
  return requestIds((name) => req.header(name));
}

/** @param more further headers; those of the answer go before them */
export function respond(
  { env }: RestContext,
  { status, body, headers }: Answered,
  { requestId, trace }: RequestIds,
  ...more: readonly (Readonly<Record<string, string>> | undefined)[]
): Response {
  const all: Record<string, string> = Object.assign({}, env.cors, ...more, headers);
  const [origin, own] = [env.cors['Vary'], headers['Vary']];
  if (origin !== undefined && own !== undefined) all['Vary'] = `${origin}, ${own}`;
  if (trace !== undefined) all['traceparent'] = trace.parent;
  all['X-Request-Id'] = requestId;
  return new Response(body, { status, headers: all });
}
