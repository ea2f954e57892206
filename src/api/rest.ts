/**
 * The REST API: each operation as a route of Hono. A request passes, in this order: its id, its caller, the rates of its
 * caller, the scope, the form of its input, and the handler. Every failure is a problem of the one catalogue.
 */
import { Hono, type Context } from 'hono';
import { randomUUID } from 'node:crypto';
import { Encoded } from '../commands/encoded.ts';
import { ParleyError } from '../protocol/errors.ts';
import { corsHeadersFor, hostAllowed, preflightHeaders, targetFrom, type OriginSettings } from '../http/origins.ts';
import { RestError } from '../protocol/rest-errors.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RequestEnv } from './bridge/bridge.ts';
import type { Callers } from './callers.ts';
import { requireScope, userHeader, type Identity } from './identity.ts';
import { Reply, type Answer, type ApiRequest, type Operation } from './operation.ts';
import { pageOf } from './pages.ts';
import { problemOf, problemType } from './problem.ts';
import type { RequestRates } from './request-rates.ts';
import { gatherInput, inputError, inputPlan, type InputPlan } from './request-input.ts';

export const apiPrefix = '/api/v1';

/** What a handler of Hono knows of a request beside the Request. */
export interface RestEnv {
  readonly Bindings: RequestEnv & {
    /** The headers of CORS, which every answer has. */
    readonly cors: Readonly<Record<string, string>>;
  };
}

type RestContext = Context<RestEnv>;

export interface RestParts {
  readonly operations: readonly Operation[];
  readonly callers: Callers;
  readonly rates: RequestRates;
  readonly metrics: Metrics;
  readonly log: Log;
}

interface Answered {
  readonly status: number;
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** The function that serves requests. Its host and its origin are checked before anything else. */
export function restFetch(
  parts: RestParts,
  origins: OriginSettings,
): (request: Request, env: RequestEnv) => Promise<Response> {
  const app = restApp(parts);
  return async (request, env) => {
    const header = (name: string): string => request.headers.get(name) ?? '';
    const target = targetFrom(header('host'), header('x-forwarded-proto'));
    const cors = corsHeadersFor(header('origin'), target, origins);
    if (cors === undefined) return foreign(hostAllowed(target.host, origins) ? 'origin' : 'host');
    if (request.method === 'OPTIONS') {
      return new Response(null, { status: 204, headers: { ...cors, ...preflightHeaders } });
    }
    return app.fetch(request, { ...env, cors });
  };
}

function foreign(what: 'origin' | 'host'): Response {
  const detail = what === 'host' ? 'This server does not answer to this name' : 'Pages of this origin may not connect';
  const error = new ParleyError('forbidden', `${detail} (PARLEY_ORIGINS).`);
  const { status, body, headers } = failure(error, randomUUID());
  return new Response(body, { status, headers });
}

export function restApp(parts: RestParts): Hono<RestEnv> {
  const app = new Hono<RestEnv>({ strict: true });
  const methods = new Map<string, string[]>();
  for (const operation of parts.operations) {
    const { method, path } = operation.route;
    const address = `${apiPrefix}${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
    methods.set(address, [...(methods.get(address) ?? []), method]);
    const served = new ServedOperation(operation, parts);
    app.on(method, address, (context) => served.serve(context));
  }
  for (const [address, known] of methods) {
    const allow = [...known, ...(known.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
    app.all(address, (context) =>
      respond(context, failure(new RestError('method_not_allowed'), requestIdOf(context), { Allow: allow })),
    );
  }
  const nothing = new ParleyError('not_found', 'There is nothing at this address.');
  app.notFound((context) => respond(context, failure(nothing, requestIdOf(context))));
  app.onError((error, context) => {
    const id = requestIdOf(context);
    return respond(context, failure(reported(error, id, parts), id));
  });
  return app;
}

class ServedOperation {
  readonly #operation: Operation;
  readonly #parts: RestParts;
  readonly #plan: InputPlan;

  constructor(operation: Operation, parts: RestParts) {
    this.#operation = operation;
    this.#parts = parts;
    this.#plan = inputPlan(operation);
  }

  async serve(context: RestContext): Promise<Response> {
    const { metrics } = this.#parts;
    const { name } = this.#operation;
    const from = performance.now();
    const requestId = requestIdOf(context);
    let rates: Readonly<Record<string, string>> = {};
    let answered: Answered;
    try {
      const identity = await this.#admit(context, (headers) => (rates = headers));
      const request = await this.#read(context, identity, requestId);
      answered = this.#answered(context, request, await this.#operation.run(request));
    } catch (error) {
      answered = failure(reported(error, requestId, this.#parts), requestId);
    }
    metrics.requests.inc({ route: name, status: `${Math.floor(answered.status / 100)}xx` });
    metrics.requestSeconds.observe({ route: name }, (performance.now() - from) / 1000);
    return respond(context, { ...answered, headers: { ...rates, ...answered.headers, 'X-Request-Id': requestId } });
  }

  async #admit(
    { req, env }: RestContext,
    counted: (headers: Readonly<Record<string, string>>) => void,
  ): Promise<Identity> {
    const { rates } = this.#parts;
    const { scope, callers: allowed } = this.#operation;
    rates.admit(env.address);
    const identity = await this.#identify(req, env.address);
    const { headers, refused } = await rates.take(identity, env.address, this.#operation);
    counted(headers);
    if (refused !== undefined) throw refused;
    if (allowed !== 'anyone') requireScope(identity, scope);
    if (allowed === 'key' && identity.kind !== 'key') throw new ParleyError('forbidden', 'An API key is needed here.');
    return identity;
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

  async #read({ req, env }: RestContext, identity: Identity, requestId: string): Promise<ApiRequest> {
    const { consumes, input: schema } = this.#operation;
    const { url, raw } = req;
    const at = url.indexOf('?');
    this.#checkType(req.header('content-type'));
    const body = this.#plan.hasBody ? await req.text() : '';
    const { input } = gatherInput(this.#plan, this.#operation, {
      path: req.param(),
      query: at === -1 ? '' : url.slice(at + 1),
      body,
    });
    let parsed;
    try {
      parsed = schema.safeParse(input);
    } catch (error) {
      // zod compares a `length` before it knows that it has a text: one that is no primitive throws in it
      throw new ParleyError('invalid', undefined, { cause: error });
    }
    if (!parsed.success) throw inputError(parsed.error, this.#plan);
    return {
      identity,
      input: parsed.data,
      address: env.address,
      requestId,
      signal: raw.signal,
      header: (name) => req.header(name),
      body: consumes === undefined ? null : raw.body,
    };
  }

  #checkType(type: string | undefined): void {
    const expected = this.#operation.consumes ?? (this.#plan.hasBody ? 'application/json' : undefined);
    if (expected === undefined || type === undefined) return;
    if (type.split(';')[0]?.trim().toLowerCase() === expected) return;
    throw new RestError('unsupported_type', `Content-Type: expected ${expected}.`);
  }

  #answered(context: RestContext, request: ApiRequest, answer: Answer): Answered {
    const { route, name } = this.#operation;
    const status = route.status ?? 200;
    if (answer instanceof Reply && !(answer.body !== null && isPlain(answer.body))) {
      const { body = null, headers } = answer;
      return { status: answer.status ?? status, body: body as Answered['body'], headers };
    }
    const [output, own, ownStatus] =
      answer instanceof Reply ? [answer.body as object, answer.headers, answer.status] : [answer, {}, undefined];
    const json = output instanceof Encoded ? output.json : JSON.stringify(output);
    const headers = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store', ...own };
    if (route.pages === undefined) return { status: ownStatus ?? status, body: json, headers };
    const page = pageOf(name, route.pages, json, request.input as Readonly<Record<string, unknown>>);
    const link = page.next === null ? {} : { Link: `<${nextUrl(context.req.url, page.next)}>; rel="next"` };
    return { status: ownStatus ?? status, body: page.json, headers: { ...headers, ...link } };
  }
}

/** Whether the body of a reply is an object for JSON. */
function isPlain(body: Reply['body']): boolean {
  return typeof body === 'object' && !(body instanceof Uint8Array) && !(body instanceof ReadableStream);
}

function nextUrl(url: string, cursor: string): string {
  const { pathname, searchParams } = new URL(url);
  for (const name of ['cursor', 'after', 'before']) searchParams.delete(name);
  searchParams.set('cursor', cursor);
  return `${pathname}?${searchParams.toString()}`;
}

/** The error for the client. A fault goes to the log, with the id that the client gets. */
function reported(
  thrown: unknown,
  requestId: string,
  { metrics, log }: Pick<RestParts, 'metrics' | 'log'>,
): ParleyError {
  const error = clientError(thrown);
  if (error instanceof ParleyError) return error;
  metrics.internalErrors.inc({ where: 'http' });
  log.error({ err: error, requestId }, 'A request failed; the client got the error `internal`.');
  return new ParleyError('internal');
}

function failure(error: ParleyError, requestId: string, headers: Readonly<Record<string, string>> = {}): Answered {
  const problem = problemOf(error, requestId);
  const wait = error.retryAfter === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryAfter / 1000)) };
  return {
    status: problem.status,
    body: JSON.stringify(problem),
    headers: { 'Content-Type': problemType, 'Cache-Control': 'no-store', ...wait, ...headers },
  };
}

function requestIdOf({ req }: Context): string {
  const given = req.header('x-request-id');
  return given !== undefined && /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID();
}

function respond({ env }: Context<RestEnv>, { status, body, headers }: Answered): Response {
  return new Response(body, { status, headers: { ...env.cors, ...headers } });
}
