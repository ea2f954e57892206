/** The HTTP side of the port: health, metrics, guests, and the built pages. */
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ParleyError } from '../protocol/errors.ts';
import type { Health } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ClientAddress } from '../http/client-address.ts';
import {
  answer,
  answerInParts,
  errorAnswer,
  handle,
  isAmbiguous,
  type Handler,
  type HttpAnswer,
} from '../http/http.ts';
import { hostAllowed, type OriginSettings } from '../http/origins.ts';
import type { StaticFiles } from '../http/static-files.ts';

/** The parts for operators, on either port. */
export interface OperatorParts {
  readonly metrics: Metrics;
  /** The text of `/metrics`, of all workers together. */
  readonly metricsText: () => Promise<string>;
  readonly health: Health;
  readonly log: Log;
  readonly version: string;
  readonly node: string;
  readonly clientAddress: ClientAddress;
}

export interface ApiParts extends OperatorParts {
  /** Whether this port serves operators too: with metrics, and with the result of each readiness check. */
  readonly forOperators: boolean;
  readonly files: StaticFiles;
  /** The origins whose pages may connect. */
  readonly origins: OriginSettings;
}

const maxBodyBytes = 64 * 1024;

type Serve = (res: HttpResponse, req: HttpRequest) => void;
type Guard = (serve: Serve) => Serve;

/** Serves requests with one length. */
const unambiguous: Guard = (serve) => (res, req) => {
  if (isAmbiguous(req)) res.close();
  else serve(res, req);
};

/** Serves requests with one length to an accepted host. */
function guarding(origins: OriginSettings): Guard {
  const foreign = new ParleyError('forbidden', 'This server does not answer to this name (PARLEY_ORIGINS).');
  return (serve) =>
    unambiguous((res, req) => {
      if (!hostAllowed(req.getHeader('host'), origins)) return answer(res, errorAnswer(foreign));
      serve(res, req);
    });
}

/** The routes of the listener that is for operators alone. */
export function registerAdminRoutes(app: TemplatedApp, parts: OperatorParts): void {
  const get = getter(app, parts, unambiguous);
  serveHealth(get, parts);
  serveDetails(get, parts);
  serveNothingElse(app, unambiguous);
}

export function registerRoutes(app: TemplatedApp, parts: ApiParts): void {
  const { files, health } = parts;
  const guard = guarding(parts.origins);
  const get = getter(app, parts, guard);
  serveHealth(get, parts);
  if (parts.forOperators) {
    serveDetails(get, parts);
  } else {
    get('/ready', async () => {
      const { ready } = await health.report();
      return { status: ready ? 200 : 503, json: { ready } };
    });
  }

  serveNothingElse(app, guard, (req) =>
    files.get(req.getUrl(), req.getHeader('if-none-match'), req.getHeader('accept-encoding')),
  );
}

type Get = (path: string, handler: Handler) => void;

function failures({ metrics, log }: OperatorParts): (error: unknown) => void {
  return (error) => {
    metrics.internalErrors.inc({ where: 'http' });
    log.error({ err: error }, 'A request failed; the client got the error `internal`.');
  };
}

function getter(app: TemplatedApp, parts: OperatorParts, guard: Guard): Get {
  const options = { maxBodyBytes, clientAddress: parts.clientAddress, failed: failures(parts) };
  return (path, handler) => {
    const route = guard((res, req) => handle(res, req, handler, options));
    app.get(path, route);
    app.head(path, route);
    const other = { status: 405, json: { error: { code: 'invalid', message: 'Use GET.' } } };
    app.any(
      path,
      guard((res) => answer(res, { ...other, headers: { Allow: 'GET, HEAD' } })),
    );
  };
}

function serveHealth(get: Get, { version, node }: OperatorParts): void {
  get('/health', () => ({ status: 200, json: { status: 'ok', version, node } }));
}

function serveDetails(get: Get, { health, metrics, metricsText }: OperatorParts): void {
  get('/ready', async () => {
    const report = await health.report();
    return { status: report.ready ? 200 : 503, json: report };
  });
  get('/metrics', async () => ({
    status: 200,
    headers: { 'Content-Type': metrics.contentType },
    body: await metricsText(),
  }));
}

function serveNothingElse(
  app: TemplatedApp,
  guard: Guard,
  find: (req: HttpRequest) => HttpAnswer | undefined = () => undefined,
): void {
  const file: Serve = (res, req) => {
    const method = req.getMethod();
    const found = method === 'get' || method === 'head' ? find(req) : undefined;
    const { headers = {}, body } = found ?? {};
    if (method === 'get' && body instanceof Uint8Array && body.byteLength > 0) {
      // A whole answer would leave a copy of the unread bytes in uWS for each request of the connection. In parts, a
      // request before the end of the answer closes the connection.
      res.onAborted(() => {});
      return answerInParts(res, { headers, body });
    }
    answer(res, found ?? errorAnswer(new ParleyError('not_found', 'There is nothing at this address.')), {
      withoutBody: method === 'head',
    });
  };
  app.any('/*', guard(file));
}
