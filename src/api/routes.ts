/** The HTTP side of the port: health, metrics, guests, and the built pages. */
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ParleyError } from '../protocol/errors.ts';
import type { Health } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ClientAddress } from './client-address.ts';
import type { Guests } from './guests.ts';
import { answer, errorAnswer, handle, type Handler } from './http.ts';
import { corsHeaders, preflightHeaders, type OriginSettings } from './origins.ts';
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

export function registerRoutes(app: TemplatedApp, parts: ApiParts): void {
  const { metrics, metricsText, health, files, clientAddress } = parts;
  const failed = (error: unknown): void => {
    metrics.internalErrors.inc({ where: 'http' });
    parts.log.error({ err: error }, 'a request failed');
  };
  const route = (handler: Handler) => (res: HttpResponse, req: HttpRequest) =>
    handle(res, req, handler, { maxBodyBytes, clientAddress, failed });
  const get = (path: string, handler: Handler): void => {
    app.get(path, route(handler));
    app.head(path, route(handler));
    app.any(path, (res) =>
      answer(res, {
        status: 405,
        json: { error: { code: 'invalid', message: 'Use GET.' } },
        headers: { Allow: 'GET, HEAD' },
      }),
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

  app.any('/*', (res, req) => {
    const method = req.getMethod();
    const file =
      method === 'get' || method === 'head' ? files.get(req.getUrl(), req.getHeader('if-none-match')) : undefined;
    answer(
      res,
      file ?? errorAnswer(new ParleyError('not_found', 'There is nothing at this address.')),
      method === 'head',
    );
  });
}

type Route = (
  handler: Handler,
  headers: Readonly<Record<string, string>>,
) => (res: HttpResponse, req: HttpRequest) => void;

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
  app.post(path, (res, req) => {
    const cors = corsHeaders(req, origins);
    route(cors === undefined ? refuse : create, cors ?? {})(res, req);
  });
  app.options(path, (res, req) => {
    const cors = corsHeaders(req, origins);
    if (cors === undefined) return answer(res, errorAnswer(foreign));
    return answer(res, { status: 204, headers: { ...cors, ...preflightHeaders } });
  });
}
