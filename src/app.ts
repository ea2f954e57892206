/** Starts the parts in order, each with its own settings, and stops them in reverse order. */
import uWS from 'uWebSockets.js';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ClientAddress } from './http/client-address.ts';
import { Guests } from './api/guests.ts';
import { registerAdminRoutes, registerRoutes, type OperatorParts } from './api/routes.ts';
import { StaticFiles } from './http/static-files.ts';
import { demoSecret } from './sessions/demo-secret.ts';
import { openUserRates } from './rates/user-rates.ts';
import { LocalSessions } from './sessions/local-sessions.ts';
import { Revocations } from './sessions/revocations.ts';
import { TokenVerifier } from './sessions/tokens.ts';
import { requireKeys, type Config } from './config/config.ts';
import { cacheSlice, gatewaySlice, messagingSlice, rateSlice, storageSlice, tokenSlice } from './config/slices.ts';
import { openFanout } from './fanout/open.ts';
import { openGateway } from './gateway.ts';
import { Connections } from './hub/connections.ts';
import { newId } from './transport/engineio/handshake.ts';
import { Epochs } from './recovery/epochs.ts';
import { readInstallation, renewEpoch } from './storage/installation.ts';
import { Messaging } from './messaging.ts';
import { hostOf, listen } from './http/listen.ts';
import { ServerClock } from './storage/clock.ts';
import { openStorage, type Release } from './storage/open.ts';
import { openCluster } from './storage/open-redis.ts';
import { openCache } from './storage/cache/open.ts';
import { prepareDatabase } from './storage/prepare.ts';
import { checkSearchLanguage } from './search/search-language.ts';
import { Inspection } from './presence/inspection.ts';
import { openPresence } from './presence/open.ts';
import { Confirmations, type Applied } from './storage/confirmations.ts';
import { Lease } from './storage/lease.ts';
import { Health } from './telemetry/health.ts';
import type { Readings } from './telemetry/group-metrics.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { readMachine } from './telemetry/machine.ts';
import { Metrics } from './telemetry/metrics.ts';
import { paced } from './telemetry/paced.ts';
import { version } from './version.ts';
import { claimPort } from './http/port.ts';

export interface RunningApp {
  readonly url: string;
  /** The address of metrics and detailed readiness. Undefined: the public port serves both. */
  readonly adminUrl: string | undefined;
  readonly log: Log;
  /** The secret that signs guests' tokens. Undefined outside of the embedded demo. */
  readonly demoSecret: string | undefined;
  /** The metrics of this process. */
  readings(): Promise<Readings>;
  /** Commits and answers accepted commands, then closes everything. */
  stop(): Promise<void>;
}

/** The workers that share the port of a process. */
export interface Group {
  readonly workers: number;
  /** The text of `/metrics` for all of them. */
  readonly metrics: () => Promise<string>;
}

/**
 * @param onFatal a part failed for the life of the process: only a new process can replace it
 * @throws {StartupError}
 */
export async function startApp(config: Config, onFatal: (error: Error) => void, group?: Group): Promise<RunningApp> {
  requireKeys(config);
  // the first step; the workers of a group share a port that their parent has claimed
  if (group === undefined) await claimPort(hostOf(config), config.port);
  const releases: Release[] = [];
  const stop = async (): Promise<void> => {
    for (const release of releases.splice(0).toReversed()) await release();
  };
  try {
    return await start(config, onFatal, releases, stop, group);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  config: Config,
  onFatal: (error: Error) => void,
  releases: Release[],
  stop: () => Promise<void>,
  group: Group | undefined,
): Promise<RunningApp> {
  const { embedded, redisPrefix } = config;
  const alone = group === undefined;
  const node = config.nodeName ?? newId().slice(0, 8);
  const log = createLog({ level: config.logLevel, pretty: config.logPretty ?? process.stdout.isTTY, node });
  const metrics = new Metrics();
  const health = new Health(log);

  // storage
  const { database, folder, handOver } = await openStorage(storageSlice(config), { log, metrics, onFatal }, releases);
  const { sql, reads, background } = database;
  const secret = folder === undefined ? undefined : await demoSecret(folder);
  const clock = new ServerClock(log);
  await prepareDatabase(database, { clock, metrics, log, health }, releases);
  if (config.search) await database.explaining(() => checkSearchLanguage(sql, config.searchLanguage));
  const redis = await openCluster({ url: config.redisUrl, prefix: redisPrefix }, { log, health, metrics }, releases);

  // identity
  const demo = secret === undefined ? undefined : (config.jwtSecret ?? secret);
  const verifier = await TokenVerifier.create(tokenSlice(config, demo), {
    note: (fields, line) => log.info(fields, line),
  });
  const renew = (expected: string): Promise<boolean> => renewEpoch(sql, expected);
  const epochs = new Epochs({ read: () => readInstallation(sql), renew, metrics, log });
  releases.push(() => epochs.stop());
  await epochs.start();
  const cache = await openCache(cacheSlice(config), redis, {
    node,
    installation: epochs.id,
    metrics: metrics.cache,
    log,
  });
  releases.push(() => cache.close());

  // messages
  const machine = readMachine(config.maxConnections, config.databasePoolSize, group?.workers ?? 1, log);
  const settings = gatewaySlice(config, machine);
  const partition = { prefix: redisPrefix, partitions: config.fanoutPartitions };
  const otherEpoch = (): void => epochs.hint();
  const fanout = await openFanout(partition, redis, { installation: epochs, otherEpoch, metrics, log });
  releases.push(() => fanout.close());
  const confirmations = new Confirmations({ sql: database.lease, metrics, log });
  const applied = (of: Applied): Promise<void> => confirmations.applied(of);
  const lease = new Lease({ confirmations, alone: redis === undefined, metrics, log });
  const messaging = new Messaging({
    ...messagingSlice(config),
    sql,
    reads,
    lease: database.lease,
    background,
    applied,
    now: () => clock.now(),
    fanout,
    metrics,
    log,
  });
  metrics.watchWriter(() => messaging.writer.waiting + messaging.changes.waiting + messaging.pins.waiting);

  // connections
  const app = uWS.App();
  const clientAddress = new ClientAddress(config.trustedProxies);
  const connections = new Connections();
  const revocations = new Revocations(sql, applied);
  const sessions = new LocalSessions({ connections, tokens: verifier, revocations, node, metrics });
  const presence = await openPresence({
    redis,
    redisPrefix,
    node,
    metrics,
    log,
    host: sessions,
    revocations,
    sights: (pairs) => messaging.visibility.of(pairs),
    lease,
  });
  releases.push(() => presence.close());
  const rates = openUserRates(rateSlice(config), redis, metrics);
  releases.push(() => rates.stop());
  const gateway = await openGateway(settings, {
    app,
    node,
    clientAddress,
    connections,
    messaging,
    fanout,
    verifier,
    sessions,
    presence,
    rates,
    lease,
    epochs,
    cache,
    metrics,
    log,
  });
  if (redis !== undefined && config.socketioDoor) {
    releases.push(() => gateway.closeInterop());
    await gateway.openInterop(redis);
  }

  if (redis !== undefined) {
    const answer = gateway.inspect.bind(gateway);
    const inspection = new Inspection({ redis, prefix: config.redisPrefix, node, log, answer });
    releases.push(() => inspection.close());
  }

  // HTTP
  const guests =
    demo === undefined ? undefined : new Guests({ secret: demo, perMinute: config.guestsPerMinute, metrics });
  releases.push(() => guests?.stop());
  const files = new StaticFiles(webFolder());
  const metricsText = paced(group?.metrics ?? (() => metrics.text()));
  const origins = { origins: config.origins, localOrigins: embedded };
  const operator = { metrics, metricsText, health, log, version, node, clientAddress };
  const adminUrl = await openAdmin({ host: config.adminHost, port: config.adminPort }, operator, alone, releases);
  registerRoutes(app, { ...operator, forOperators: adminUrl === undefined, guests, files, origins });
  const { url, socket } = await listen(app, { host: hostOf(config), port: config.port }, alone);

  const drainMs = config.drainMs ?? (embedded ? 0 : 20_000);
  releases.push(async () => {
    health.stop();
    uWS.us_listen_socket_close(socket);
    gateway.refuseConnections();
    if (redis === undefined) {
      // a lone node: the process that starts next may write. Its clients `sync` the writes after they have moved there.
      await gateway.finishWrites();
      await messaging.stop();
      await handOver();
    }
    await gateway.drain(drainMs);
    await gateway.finishCommands();
    await messaging.stop();
    await gateway.close();
    app.close();
  });
  return { url, adminUrl, log, demoSecret: demo, readings: () => metrics.readings(), stop };
}

/** Opens the listener for operators. The listener answers until the process has stopped. */
async function openAdmin(
  { host, port }: { readonly host: string; readonly port: number | undefined },
  parts: OperatorParts,
  alone: boolean,
  releases: Release[],
): Promise<string | undefined> {
  if (port === undefined) return undefined;
  const admin = uWS.App();
  registerAdminRoutes(admin, parts);
  const { url } = await listen(admin, { host, port }, alone);
  releases.push(() => {
    admin.close();
  });
  parts.log.info({ url }, 'Metrics and detailed readiness are on the admin port; the public port does not serve them.');
  return url;
}

/** The folder of the demo: beside the compiled files or, when run from source, the output of the build. */
function webFolder(): string {
  const beside = fileURLToPath(new URL('./web', import.meta.url));
  return import.meta.url.endsWith('.ts') || !existsSync(beside)
    ? fileURLToPath(new URL('../dist/web', import.meta.url))
    : beside;
}
