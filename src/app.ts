/** Starts the parts in order, each with its slice of the configuration, and stops them in reverse. */
import uWS from 'uWebSockets.js';
import { existsSync } from 'node:fs';
import { totalmem } from 'node:os';
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
import { userLimits } from './config/user-limits.ts';
import type { Fanout } from './fanout/fanout.ts';
import { MemoryFanout } from './fanout/memory.ts';
import { RedisFanout } from './fanout/redis.ts';
import { openGateway, type GatewaySettings } from './gateway.ts';
import { Connections } from './hub/connections.ts';
import { newId } from './transport/engineio/handshake.ts';
import { Epochs } from './recovery/epochs.ts';
import { readInstallation, renewEpoch } from './storage/installation.ts';
import { Messaging } from './messaging.ts';
import { hostOf, listen } from './http/listen.ts';
import { StartupError } from './startup-error.ts';
import { ServerClock } from './storage/clock.ts';
import { DatabaseWatch } from './storage/database-watch.ts';
import { hazards } from './storage/durability.ts';
import { openDataFolder } from './storage/data-folder.ts';
import { openEmbedded, openServer, type Database, type OnUnsafe } from './storage/database.ts';
import { holdNodeLock } from './storage/locks.ts';
import { migrate, migrationsPending, readSchema } from './storage/migrate.ts';
import { checkSearchLanguage } from './search/search-language.ts';
import { Inspection } from './presence/inspection.ts';
import { openPresence } from './presence/open.ts';
import type { RedisProblem } from './storage/redis-refusal.ts';
import { openRedis, type RedisLink } from './storage/redis.ts';
import { Confirmations } from './storage/confirmations.ts';
import { Lease } from './storage/lease.ts';
import { Health, NotReady } from './telemetry/health.ts';
import type { Readings } from './telemetry/group-metrics.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { paced } from './telemetry/paced.ts';
import { capConnections } from './telemetry/system.ts';
import { version } from './version.ts';
import { claimPort } from './http/port.ts';

export interface RunningApp {
  readonly url: string;
  /** Where operators reach metrics and readiness in detail; undefined: on the public port. */
  readonly adminUrl: string | undefined;
  readonly log: Log;
  /** The secret that signs guests' tokens; absent outside the embedded demo. */
  readonly demoSecret: string | undefined;
  /** The metrics of this process. */
  readings(): Promise<Readings>;
  /** Answers what was accepted, commits it, closes everything. */
  stop(): Promise<void>;
}

/** What a process knows of the workers that share its port. */
export interface Group {
  readonly workers: number;
  /** The text of `/metrics` for all of them. */
  readonly metrics: () => Promise<string>;
}

type Release = () => Promise<void> | void;

/**
 * @param onFatal a part died in a way that only a new process mends
 * @throws {StartupError}
 */
export async function startApp(config: Config, onFatal: (error: Error) => void, group?: Group): Promise<RunningApp> {
  requireKeys(config);
  // before anything else is begun; the workers of a group share a port that their parent has claimed
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
  const node = config.nodeName ?? newId().slice(0, 8);
  const log = createLog({ level: config.logLevel, pretty: config.logPretty ?? process.stdout.isTTY, node });
  const metrics = new Metrics();
  const health = new Health(log);

  const { database, secret, handOver } = await openStorage(config, { log, metrics, onFatal }, releases);
  const { sql, reads, background } = database;
  const clock = new ServerClock(log);
  await prepareDatabase(database, { clock, metrics, log, health, releases });
  if (config.search) await database.explaining(() => checkSearchLanguage(sql, config.searchLanguage));

  const redis = await openCluster(config, { log, health, metrics }, releases);

  const verifier = await TokenVerifier.create(
    {
      secrets: [config.jwtSecret ?? secret, config.jwtPreviousSecret].filter((value) => value !== undefined),
      publicKey: config.jwtPublicKey,
      jwksUrl: config.jwksUrl,
      issuer: config.jwtIssuer,
      audience: config.jwtAudience,
      leewayMs: config.jwtLeewayMs,
    },
    { note: (fields, line) => log.info(fields, line) },
  );

  const epochs = new Epochs({
    read: () => readInstallation(sql),
    renew: (expected) => renewEpoch(sql, expected),
    metrics,
    log,
  });
  releases.push(() => epochs.stop());
  await epochs.start();

  const app = uWS.App();
  const clientAddress = new ClientAddress(config.trustedProxies);
  const settings = gatewaySettings(config, group?.workers ?? 1, log);
  const fanout = await openFanout(config, redis, { epochs, metrics, log });
  releases.push(() => fanout.close());
  const confirmations = new Confirmations({ sql: database.lease, metrics, log });
  const lease = new Lease({ confirmations, alone: redis === undefined, metrics, log });
  const messaging = new Messaging({
    ...config,
    sql,
    applied: (of) => confirmations.applied(of),
    reads,
    lease: database.lease,
    background,
    now: () => clock.now(),
    fanout,
    metrics,
    log,
    writerStripes: config.writerStripes ?? (config.embedded ? 1 : 2),
    searchTimeoutMs: config.embedded ? undefined : config.searchTimeoutMs,
  });
  metrics.watchWriter(() => messaging.writer.waiting + messaging.changes.waiting + messaging.pins.waiting);
  const connections = new Connections();
  const revocations = new Revocations(sql, (of) => confirmations.applied(of));
  const sessions = new LocalSessions({ connections, tokens: verifier, revocations, node, metrics });
  const presence = await openPresence({
    redis,
    redisPrefix: config.redisPrefix,
    node,
    metrics,
    log,
    host: sessions,
    revocations,
    sights: (pairs) => messaging.visibility.of(pairs),
    lease,
  });
  releases.push(() => presence.close());
  const rates = openUserRates({ ...config, ...userLimits(config) }, redis, metrics);
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

  const guests =
    secret === undefined
      ? undefined
      : new Guests({ secret: config.jwtSecret ?? secret, perMinute: config.guestsPerMinute, metrics });
  releases.push(() => guests?.stop());
  const files = new StaticFiles(webFolder());
  const metricsText = paced(group?.metrics ?? (() => metrics.text()));
  const origins = { origins: config.origins, localOrigins: config.embedded };
  const operator = { metrics, metricsText, health, log, version, node, clientAddress };
  const adminUrl = await openAdmin(config, operator, group === undefined, releases);
  registerRoutes(app, { ...operator, forOperators: adminUrl === undefined, guests, files, origins });

  const { url, socket } = await listen(app, { host: hostOf(config), port: config.port }, group === undefined);
  releases.push(async () => {
    health.stop();
    uWS.us_listen_socket_close(socket);
    gateway.refuseNewcomers();
    if (redis === undefined) {
      // Alone: whoever starts now may write; our clients find it as they leave, and sync what we did not hear of.
      await gateway.finishWrites();
      await messaging.stop();
      await handOver();
    }
    await gateway.drain(config.drainMs ?? (config.embedded ? 0 : 20_000));
    await gateway.finishCommands();
    await messaging.stop();
    await gateway.close();
    app.close();
  });
  return {
    url,
    adminUrl,
    log,
    demoSecret: secret === undefined ? undefined : (config.jwtSecret ?? secret),
    readings: () => metrics.readings(),
    stop,
  };
}

/** The listener of operators, which the public one does without. It answers until the process has stopped. */
async function openAdmin(
  config: Config,
  parts: OperatorParts,
  alone: boolean,
  releases: Release[],
): Promise<string | undefined> {
  if (config.adminPort === undefined) return undefined;
  const admin = uWS.App();
  registerAdminRoutes(admin, parts);
  const { url } = await listen(admin, { host: config.adminHost, port: config.adminPort }, alone);
  releases.push(() => {
    admin.close();
  });
  parts.log.info({ url }, 'Metrics and detailed readiness are on the admin port; the public port does not serve them.');
  return url;
}

/** Brings the schema up to date, and from then on watches the database. @throws {StartupError} */
async function prepareDatabase(
  database: Database,
  parts: { clock: ServerClock; metrics: Metrics; log: Log; health: Health; releases: Release[] },
): Promise<void> {
  const { sql, kind } = database;
  const { clock, metrics, log, health, releases } = parts;
  await database.explaining(() => database.migrating(migrate));
  const commits = database.settings === undefined ? undefined : database.settings.synchronous_commit;
  if (commits === 'off') log.warn(`Postgres: ${hazards.synchronous_commit}; the sessions of Parley turn it on.`);
  const watch = new DatabaseWatch({ sql, clock, metrics, log, kind });
  releases.push(() => watch.stop());
  await watch.look().catch(() => {}); // a database that became unavailable is a state, which the watch has logged
  health.add({ name: 'database', run: () => watch.look() });
  const files = readSchema();
  health.add({
    name: 'migrations',
    run: async () => {
      const pending = await migrationsPending(sql, files).catch((error: unknown) => {
        throw error instanceof StartupError ? new NotReady(error.message, { cause: error }) : error;
      });
      if (pending.length > 0) throw new NotReady(`pending: ${pending.join(', ')}`);
    },
  });
}

/** Redis, when there are to be several nodes. Without it they still serve: what crosses nodes comes by Postgres. */
async function openCluster(
  config: Config,
  { log, health, metrics }: { log: Log; health: Health; metrics: Metrics },
  releases: Release[],
): Promise<RedisLink | undefined> {
  const { redisUrl: url, redisPrefix: prefix } = config;
  if (url === undefined) return undefined;
  const refused = (problem: RedisProblem): void => metrics.redisRefusals.inc({ problem });
  const redis = await openRedis({ url, prefix, log, refused });
  releases.push(() => redis.close());
  // what the link knows, without a question: it tries Redis all the time
  const check = (): Promise<void> =>
    redis.problem === undefined ? Promise.resolve() : Promise.reject(new NotReady(redis.problem));
  health.add({ name: 'redis', vital: false, run: check });
  metrics.watchRedis({
    states: () => redis.states(),
    evicts: () => (redis.evictionPolicy ?? 'noeviction') !== 'noeviction',
  });
  return redis;
}

async function openFanout(
  config: Config,
  link: RedisLink | undefined,
  parts: { epochs: Epochs; metrics: Metrics; log: Log },
): Promise<Fanout> {
  if (link === undefined) return new MemoryFanout();
  const { redisPrefix: prefix, fanoutPartitions: partitions } = config;
  const { epochs } = parts;
  const otherEpoch = (): void => epochs.hint();
  const fanout = new RedisFanout({ ...parts, link, prefix, partitions, installation: epochs, otherEpoch });
  await fanout.open();
  return fanout;
}

function gatewaySettings(config: Config, workers: number, log: Log): GatewaySettings {
  const { maxConnections, warning } = capConnections(config.maxConnections, config.databasePoolSize);
  if (warning !== undefined) log.warn(`${warning}.`);
  const { constrained, total } = { constrained: process.constrainedMemory(), total: totalmem() };
  // no limit is told as 0 or as a number beyond all memory
  const available = constrained > 0 && constrained < total ? constrained : total;
  return {
    ...config,
    ...userLimits(config),
    maxConnections,
    path: '/socket.io/',
    localOrigins: config.embedded,
    // a long-polling session is many requests, which the kernel would spread over the workers
    longPolling: workers === 1,
    maxMemoryBytes: config.maxMemoryBytes ?? Math.floor((available * 0.8) / workers),
  };
}

async function openStorage(
  config: Config,
  { log, metrics, onFatal }: { log: Log; metrics: Metrics; onFatal: (error: Error) => void },
  releases: Release[],
): Promise<{ database: Database; secret: string | undefined; handOver: () => Promise<void> }> {
  const onUnsafe: OnUnsafe = ({ pid, status }) => {
    metrics.databaseUnsafe.inc();
    log.error({ pid, status }, 'a pooled connection to Postgres was inside a transaction; it is closed');
  };
  if (config.databaseUrl === undefined) {
    const folder = await openDataFolder(config.dataDir);
    releases.push(() => folder.release());
    const onMaintenanceError = (error: unknown): void =>
      log.warn({ err: error }, 'maintenance of the embedded database failed');
    const database = await openEmbedded({ dataDir: folder.path, onFatal, onMaintenanceError, onUnsafe });
    releases.push(() => database.close());
    return { database, secret: await demoSecret(folder.path), handOver: () => Promise.resolve() };
  }
  const database = await openServer({
    url: config.databaseUrl,
    poolSize: config.databasePoolSize,
    reads: {
      size: config.databaseReadPoolSize,
      waitMs: config.databaseReadWaitMs,
      statementTimeoutMs: config.databaseReadTimeoutMs,
    },
    backgroundPoolSize: config.databaseBackgroundPoolSize,
    isNode: true,
    onUnsafe,
  });
  releases.push(() => database.close());
  const { databaseUrl: url, redisUrl } = config;
  const lock = await database.explaining(() => holdNodeLock({ url, shared: redisUrl !== undefined, onLost: onFatal }));
  releases.push(() => lock.release());
  return { database, secret: undefined, handOver: () => lock.release() };
}

/** Next to the compiled files, or, when run from source, where the build put them. */
function webFolder(): string {
  const beside = fileURLToPath(new URL('./web', import.meta.url));
  return import.meta.url.endsWith('.ts') || !existsSync(beside)
    ? fileURLToPath(new URL('../dist/web', import.meta.url))
    : beside;
}
