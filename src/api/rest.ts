/** The REST API: each operation as a route of Hono. Every failure is a problem of the one catalogue. */
import { Hono } from 'hono';
import { randomUUID } from 'node:crypto';
import {
  corsHeadersFor,
  exposedHeaders,
  hostAllowed,
  preflightHeaders,
  targetFrom,
  type OriginSettings,
} from '../http/origins.ts';
import { ParleyError } from '../protocol/errors.ts';
import { apiPrefix } from '../protocol/http-route.ts';
import { RestError } from '../protocol/rest-errors.ts';
import { failure, responseOf } from './answering.ts';
import type { RequestEnv } from './bridge/bridge.ts';
import { readerOf, type Operation } from './operation.ts';
import {
  idsOf,
  reported,
  respond,
  ServedOperation,
  type RestContext,
  type RestEnv,
  type ServingParts,
} from './served-operation.ts';

export interface RestParts extends ServingParts {
  readonly operations: readonly Operation[];
  /** Headers of OPTIONS of an address, beside those of CORS. */
  readonly discovery?: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** The function that serves requests. Its host and its origin are checked before anything else. */
export function restFetch(
  parts: RestParts,
  origins: OriginSettings,
): (request: Request, env: RequestEnv) => Response | Promise<Response> {
  const app = restApp(parts);
  return (request, env) => {
    const header = (name: string): string => request.headers.get(name) ?? '';
    const [host, origin] = [header('host'), header('origin')];
    const allowed = corsHeadersFor(origin, targetFrom(host, header('x-forwarded-proto')), origins);
    if (allowed === undefined) return foreign(hostAllowed(host, origins) ? 'origin' : 'host');
    const cors = origin === '' ? allowed : { ...allowed, ...exposedHeaders };
    if (request.method === 'OPTIONS') {
      const found = parts.discovery?.get(new URL(request.url).pathname);
      return new Response(null, { status: 204, headers: { ...cors, ...preflightHeaders, ...found } });
    }
    return app.fetch(request, { address: env.address, cors });
  };
}

function foreign(what: 'origin' | 'host'): Response {
  const detail = what === 'host' ? 'This server does not answer to this name' : 'Pages of this origin may not connect';
  const error = new ParleyError('forbidden', `${detail} (PARLEY_ORIGINS).`);
  return problemResponse(error);
}

/** The answer to a request that reaches no operation. */
export function problemResponse(error: ParleyError): Response {
  return responseOf(failure(error, randomUUID()));
}

export function restApp(parts: RestParts): Hono<RestEnv> {
  const app = new Hono<RestEnv>({ strict: true });
  const methods = new Map<string, string[]>();
  for (const operation of parts.operations) {
    const { method, path } = operation.route;
    const address = `${apiPrefix}${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
    methods.set(address, [...(methods.get(address) ?? []), method]);
    const served = new ServedOperation(operation, readerOf(operation, parts.operations), parts);
    app.on(method, address, (context) => served.serve(context));
  }
  for (const [address, known] of methods) {
    const allow = [...known, ...(known.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
    app.all(address, (context) => refuse(context, new RestError('method_not_allowed'), { Allow: allow }));
  }
  const nothing = new ParleyError('not_found', 'There is nothing at this address.');
  app.notFound((context) => refuse(context, nothing));
  app.onError((error, context) => {
    const ids = idsOf(context);
    return respond(context, failure(reported(error, ids, parts), ids.requestId), ids);
  });
  return app;
}

function refuse(context: RestContext, error: ParleyError, headers: Readonly<Record<string, string>> = {}): Response {
  const ids = idsOf(context);
  return respond(context, failure(error, ids.requestId, { headers }), ids);
}
