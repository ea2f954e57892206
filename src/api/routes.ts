/** The HTTP side of the port: health, metrics, guests, and the built pages. */
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ParleyError } from '../protocol/errors.ts';
import type { Health } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ClientAddress } from './client-address.ts';
import type { Guests } from './guests.ts';
import { answer, errorAnswer, handle, isAmbiguous, type Handler } from './http.ts';
import { corsHeaders, hostAllowed, preflightHeaders, type OriginSettings } from './origins.ts';
import type { StaticFiles } from './static-files.ts';

export interface ApiParts {
  readonly metrics: Metrics;
  /** The text of `/metrics`, for all workers where there are several. */
  readonly metricsText: () => Promise<string>;
  readonly health: Health;
  readonly log: Log;
  readonly version: string;
  readonly node: string;
  /** Absent outside the embedded demo. */
  readonly guests: Guests | undefined;
  readonly files: StaticFiles;
  readonly clientAddress: ClientAddress;
  /** Pages of which origins may fetch a guest token: the same that may connect. */
  readonly origins: OriginSettings;
}

const maxBodyBytes = 64 * 1024;

type Serve = (res: HttpResponse, req: HttpRequest) => void;

/** Serves what has one length, and asks for a name that this server answers to. */
function guarded(origins: OriginSettings, serve: Serve): Serve {
  const foreign = new ParleyError('forbidden', 'This server does not answer to this name (PARLEY_ORIGINS).');
  return (res, req) => {
    if (isAmbiguous(req)) return void res.close();
    if (!hostAllowed(req.getHeader('host'), origins)) return answer(res, errorAnswer(foreign));
    serve(res, req);
  };
}

export function registerRoutes(app: TemplatedApp, parts: ApiParts): void {
  const { metrics, metricsText, health, files, clientAddress, origins } = parts;
  const failed = (error: unknown): void => {
    metrics.internalErrors.inc({ where: 'http' });
    parts.log.error({ err: error }, 'a request failed');
  };
  const route = (handler: Handler): Serve =>
    guarded(origins, (res, req) => handle(res, req, handler, { maxBodyBytes, clientAddress, failed }));
  const get = (path: string, handler: Handler): void => {
    app.get(path, route(handler));
    app.head(path, route(handler));
    const other = { status: 405, json: { error: { code: 'invalid', message: 'Use GET.' } } };
    app.any(
      path,
      guarded(origins, (res) => answer(res, { ...other, headers: { Allow: 'GET, HEAD' } })),
    );
  };

  get('/health', () => ({ status: 200, json: { status: 'ok', version: parts.version, node: parts.node } }));
  get('/ready', async () => {
    const report = await health.report();
    return { status: report.ready ? 200 : 503, json: report };
  });
  get('/metrics', async () => ({
    status: 200,
    headers: { 'Content-Type': metrics.contentType },
    body: await metricsText(),
  }));

  serveGuests(
    app,
    parts,
    (handler, headers) => (res, req) => handle(res, req, handler, { maxBodyBytes, clientAddress, failed, headers }),
  );

  const file: Serve = (res, req) => {
    const method = req.getMethod();
    const found =
      method === 'get' || method === 'head' ? files.get(req.getUrl(), req.getHeader('if-none-match')) : undefined;
    answer(
      res,
      found ?? errorAnswer(new ParleyError('not_found', 'There is nothing at this address.')),
      method === 'head',
    );
  };
  app.any('/*', guarded(origins, file));
}

type Route = (handler: Handler, headers: Readonly<Record<string, string>>) => Serve;

/** A page that may open the socket may fetch the token for it, from another origin too. */
function serveGuests(app: TemplatedApp, { guests, origins }: ApiParts, route: Route): void {
  const path = '/api/v1/auth/guest';
  const foreign = new ParleyError('forbidden', 'Pages of this origin may not connect (PARLEY_ORIGINS).');
  const create: Handler = (request) => {
    if (guests === undefined)
      throw new ParleyError('forbidden', 'Guests are off: this server checks tokens of its operator.');
    return guests.create(request);
  };
  const refuse: Handler = () => {
    throw foreign;
  };
  const post: Serve = (res, req) => {
    const cors = corsHeaders(req, origins);
    route(cors === undefined ? refuse : create, cors ?? {})(res, req);
  };
  const preflight: Serve = (res, req) => {
    const cors = corsHeaders(req, origins);
    if (cors === undefined) return answer(res, errorAnswer(foreign));
    return answer(res, { status: 204, headers: { ...cors, ...preflightHeaders } });
  };
  app.post(path, guarded(origins, post));
  app.options(path, guarded(origins, preflight));
}
