/** HTTP of a node as one part: the public listener, and the listener of operators if there is one. */
import uWS, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { listen, type Address } from '../http/listen.ts';
import type { OriginSettings } from '../http/origins.ts';
import { StaticFiles, webFolder } from '../http/static-files.ts';
import type { Release } from '../storage/open.ts';
import { paced } from '../telemetry/paced.ts';
import { registerAdminRoutes, registerRoutes, type OperatorParts } from './routes.ts';

export interface HttpSettings extends Address {
  /** The listener of metrics and detailed readiness. Undefined: the public port serves both. */
  readonly admin: Address | undefined;
  readonly origins: OriginSettings;
  /** Whether no other worker shares the ports. */
  readonly alone: boolean;
}

export interface OpenHttp {
  readonly url: string;
  readonly adminUrl: string | undefined;
  readonly socket: us_listen_socket;
}

/** Registers the routes and listens. The listener of operators answers until the process has stopped. @throws {StartupError} */
export async function openHttp(
  app: TemplatedApp,
  { host, port, admin, origins, alone }: HttpSettings,
  parts: OperatorParts,
  releases: Release[],
): Promise<OpenHttp> {
  const { log } = parts;
  const files = new StaticFiles(webFolder());
  const operator = { ...parts, metricsText: paced(parts.metricsText) };
  const adminUrl = admin === undefined ? undefined : await openAdmin(admin, operator, alone, releases);
  if (adminUrl !== undefined) {
    const text = 'Metrics and detailed readiness are on the admin port; the public port does not serve them.';
    log.info({ url: adminUrl }, text);
  }
  registerRoutes(app, { ...operator, forOperators: adminUrl === undefined, files, origins });
  const { url, socket } = await listen(app, { host, port }, alone);
  return { url, adminUrl, socket };
}

export async function openAdmin(
  address: Address,
  parts: OperatorParts,
  alone: boolean,
  releases: Release[],
): Promise<string> {
  const admin = uWS.App();
  registerAdminRoutes(admin, parts);
  const { url } = await listen(admin, address, alone);
  releases.push(() => {
    admin.close();
  });
  return url;
}
