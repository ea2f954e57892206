/**
 * An operation is one method of one address of REST. Commands become operations by their declarations. Routes without a
 * command have declarations of the same form (`src/protocol/routes/`) and handlers that take the request.
 */
import type { z } from 'zod';
import type { CommandKind } from '../protocol/command-schema.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { HttpRoute, Seen } from '../protocol/http-route.ts';
import type { RouteDeclarations, RouteSchema } from '../protocol/route-schema.ts';
import type { RestErrorCode } from '../protocol/rest-errors.ts';
import type { Scope } from '../protocol/scopes.ts';
import type { Encoded } from '../commands/encoded.ts';
import type { Identity } from './identity.ts';
import type { RequestIds } from './trace-context.ts';

/** A request, after its caller is known and its input is valid. */
export interface ApiRequest<I = unknown, O = unknown> {
  readonly identity: Identity;
  readonly input: I;
  /** The object that the write compares; undefined: the request has no `If-Match`. */
  readonly seen?: Seen<O> | undefined;
  readonly address: string;
  readonly ids: RequestIds;
  /** Aborted when the client ends the request. */
  readonly signal: AbortSignal;
  /** @returns undefined if there is none. */
  readonly header: (name: string) => string | undefined;
  /** Whether the request chooses the fields of its answer. */
  readonly chooses: boolean;
  /** The body of an operation with `consumes`; null if there is none. */
  readonly body: ReadableStream<Uint8Array> | null;
}

/** An answer that is more than its JSON. */
export class Reply {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object | string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined;

  constructor(
    body: Reply['body'],
    { status, headers = {} }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
  ) {
    this.body = body;
    this.status = status;
    this.headers = headers;
  }
}

export type Answer = object | Encoded | Reply;

export type RouteHandlers<D extends RouteDeclarations> = {
  readonly [R in keyof D]: (
    request: ApiRequest<z.output<D[R]['input']>, z.output<D[R]['output']>>,
  ) => Promise<Answer> | Answer;
};

export interface Operation {
  /** The id of the operation in OpenAPI. */
  readonly id: string;
  /** The name of the command or route: the label of metrics. */
  readonly name: string;
  readonly route: HttpRoute;
  readonly about: string;
  readonly kind: CommandKind;
  readonly weight: number;
  /** See RouteSchema. */
  readonly batch: string | undefined;
  readonly scope: Scope | null;
  readonly callers: RouteSchema['callers'];
  /** See RouteSchema. */
  readonly ownRate: boolean;
  readonly lenient: boolean;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly errors: readonly (ErrorCode | RestErrorCode)[];
  readonly produces: string | undefined;
  readonly consumes: string | undefined;
  /** See RouteSchema. */
  readonly needsBody: boolean;
  /** The other form of the answer: a stream, one object of JSON a line. */
  readonly lines?: { readonly type: string; readonly line: z.ZodType };
  readonly run: (request: ApiRequest) => Promise<Answer> | Answer;
}

/** An operation for the description of the server, without its handler. */
export type DescribedOperation = Omit<Operation, 'run'>;

/** The operations of routes without a command. */
export function routeOperations<D extends RouteDeclarations>(declarations: D, handlers: RouteHandlers<D>): Operation[] {
  // the type of each handler comes from the schema that parses its input
  const untyped = handlers as Readonly<Record<string, Operation['run']>>;
  return Object.entries<RouteSchema>(declarations).flatMap(([name, declared]) => {
    const run = untyped[name];
    if (run === undefined) throw new Error(`The route ${name} has no handler.`);
    return operationsOf(name, declared, declared.callers, run);
  });
}

/** One operation for each route of a declaration. */
export function operationsOf(
  name: string,
  declared: Omit<RouteSchema, 'callers'>,
  callers: RouteSchema['callers'],
  run: Operation['run'],
): Operation[] {
  return describedOperations(name, declared, callers).map((operation) => ({ ...operation, run }));
}

export function describedOperations(
  name: string,
  declared: Omit<RouteSchema, 'callers'>,
  callers: RouteSchema['callers'],
): DescribedOperation[] {
  const routes = 'path' in declared.http ? [declared.http] : declared.http;
  return routes.map((route, n) => ({
    id: `${name.replaceAll(/[:-](\w)/g, (_, letter: string) => letter.toUpperCase())}${n === 0 ? '' : n + 1}`,
    name,
    route,
    about: declared.about,
    kind: declared.kind,
    weight: declared.weight,
    batch: declared.batch,
    scope: declared.scope,
    callers,
    ownRate: declared.ownRate === true,
    lenient: declared.lenient === true,
    input: declared.input,
    output: declared.output,
    errors: declared.errors,
    produces: declared.produces,
    consumes: declared.consumes,
    needsBody: declared.needsBody === true,
  }));
}

/** Whether a request may carry an Idempotency-Key: the operation writes, and Parley may keep its answer. */
export function isKeyed({ kind, callers, consumes, route }: DescribedOperation): boolean {
  return kind !== 'read' && callers !== 'anyone' && consumes === undefined && route.secret !== true;
}

/** The operation that reads the object which this one writes: its ETag is the one that `If-Match` names. */
export function readerOf<O extends DescribedOperation>(
  { route }: DescribedOperation,
  operations: readonly O[],
): O | undefined {
  if (route.ifMatch === undefined) return undefined;
  return operations.find((other) => other.route.method === 'GET' && other.name === route.ifMatch);
}
