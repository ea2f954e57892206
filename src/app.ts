/** Starts the parts in order, each with its slice of the configuration, and stops them in reverse. */
import uWS, { type us_listen_socket } from 'uWebSockets.js';
import { existsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ClientAddress } from './api/client-address.ts';
import { Guests } from './api/guests.ts';
import { registerRoutes } from './api/routes.ts';
import { StaticFiles } from './api/static-files.ts';
import { demoSecret } from './auth/demo-secret.ts';
import { openUserRates } from './auth/rates/user-rates.ts';
import { TokenVerifier } from './auth/tokens.ts';
import { requireKeys, type Config } from './config.ts';
import type { Fanout, Receiver } from './fanout/fanout.ts';
import { MemoryFanout } from './fanout/memory.ts';
import { RedisFanout } from './fanout/redis.ts';
import { Gateway, type GatewaySettings } from './gateway/gateway.ts';
import { newId } from './gateway/engine/handshake.ts';
import { Epochs } from './messaging/epochs.ts';
import { readInstallation, renewEpoch } from './messaging/installation.ts';
import { Messaging } from './messaging/messaging.ts';
import { portInUse } from './startup-error.ts';
import { openDataFolder } from './storage/data-folder.ts';
import { openEmbedded, openServer, type Database } from './storage/database.ts';
import { holdNodeLock } from './storage/locks.ts';
import { migrate, migrationsPending } from './storage/migrate.ts';
import { openPresence } from './presence/open.ts';
import { openRedis, type RedisLink } from './storage/redis.ts';
import { Health } from './telemetry/health.ts';
import type { Readings } from './telemetry/group-metrics.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { version } from './version.ts';

export interface RunningApp {
  readonly url: string;
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
  const health = new Health();

  const { database, secret, handOver } = await openStorage(config, log, onFatal, releases);
  const { sql } = database;
  await migrate(sql);
  health.add({ name: 'database', run: async () => void (await sql`select 1`) });
  health.add({
    name: 'migrations',
    run: async () => {
      const pending = await migrationsPending(sql);
      if (pending.length > 0) throw new Error(`pending: ${pending.join(', ')}`);
    },
  });

  const redis = await openCluster(config, log, health, releases);
  if (redis !== undefined) metrics.watchRedis(() => redis.up);

  const verifier = await TokenVerifier.create({
    secrets: [config.jwtSecret ?? secret, config.jwtPreviousSecret].filter((value) => value !== undefined),
    publicKey: config.jwtPublicKey,
    jwksUrl: config.jwksUrl,
    issuer: config.jwtIssuer,
    audience: config.jwtAudience,
  });

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
  const parts = { app, metrics, log, node, clientAddress };
  const gateway = new Gateway(gatewaySettings(config, group?.workers ?? 1), parts);
  const fanout = await openFanout(config, redis, {
    receive: (envelopes) => gateway.receive(envelopes),
    epochs,
    metrics,
    log,
  });
  releases.push(() => fanout.close());
  const messaging = new Messaging({
    ...config,
    sql,
    fanout,
    metrics,
    log,
    writerStripes: config.writerStripes ?? (config.embedded ? 1 : 2),
  });
  metrics.watchWriter(() => messaging.writer.waiting + messaging.changes.waiting + messaging.pins.waiting);
  const presence = await openPresence({
    ...config,
    sql,
    redis,
    node,
    metrics,
    log,
    host: gateway.presenceHost,
    visible: (pairs) => messaging.visibility.of(pairs),
  });
  releases.push(() => presence.close());
  const rates = openUserRates(config, redis, metrics);
  releases.push(() => rates.stop());
  await gateway.serve({ messaging, fanout, verifier, presence, rates, epochs });
  if (redis !== undefined && config.socketioDoor) {
    releases.push(() => gateway.closeDoor());
    await gateway.openDoor(redis);
  }

  const guests =
    secret === undefined
      ? undefined
      : new Guests({ secret: config.jwtSecret ?? secret, perMinute: config.guestsPerMinute, metrics });
  releases.push(() => guests?.stop());
  const files = new StaticFiles(webFolder());
  const metricsText = group?.metrics ?? (() => metrics.text());
  registerRoutes(app, { metrics, metricsText, health, log, version, node, guests, files, clientAddress });

  const { url, socket } = await listen(app, config, group === undefined);
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
    log,
    demoSecret: secret === undefined ? undefined : (config.jwtSecret ?? secret),
    readings: () => metrics.readings(),
    stop,
  };
}

/** Redis, when there are to be several nodes. Without it they still serve: what crosses nodes comes by Postgres. */
async function openCluster(
  config: Config,
  log: Log,
  health: Health,
  releases: Release[],
): Promise<RedisLink | undefined> {
  if (config.redisUrl === undefined) return undefined;
  const redis = await openRedis({ url: config.redisUrl, log });
  releases.push(() => redis.close());
  health.add({ name: 'redis', vital: false, run: async () => void (await redis.commands.ping()) });
  return redis;
}

async function openFanout(
  config: Config,
  link: RedisLink | undefined,
  parts: { receive: Receiver; epochs: Epochs; metrics: Metrics; log: Log },
): Promise<Fanout> {
  if (link === undefined) return new MemoryFanout(parts.receive);
  const { redisPrefix: prefix, fanoutPartitions: partitions } = config;
  const { epochs } = parts;
  const otherEpoch = (): void => epochs.hint();
  const fanout = new RedisFanout({ ...parts, link, prefix, partitions, installation: epochs, otherEpoch });
  await fanout.open();
  return fanout;
}

function gatewaySettings(config: Config, workers: number): GatewaySettings {
  const { constrained, total } = { constrained: process.constrainedMemory(), total: totalmem() };
  // no limit is told as 0 or as a number beyond all memory
  const available = constrained > 0 && constrained < total ? constrained : total;
  return {
    ...config,
    path: '/socket.io/',
    localOrigins: config.embedded,
    // a long-polling session is many requests, which the kernel would spread over the workers
    longPolling: workers === 1,
    maxMemoryBytes: config.maxMemoryBytes ?? Math.floor((available * 0.8) / workers),
  };
}

async function openStorage(
  config: Config,
  log: Log,
  onFatal: (error: Error) => void,
  releases: Release[],
): Promise<{ database: Database; secret: string | undefined; handOver: () => Promise<void> }> {
  if (config.databaseUrl === undefined) {
    const folder = await openDataFolder(config.dataDir);
    releases.push(() => folder.release());
    const onMaintenanceError = (error: unknown): void =>
      log.warn({ err: error }, 'maintenance of the embedded database failed');
    const database = await openEmbedded({ dataDir: folder.path, onFatal, onMaintenanceError });
    releases.push(() => database.close());
    return { database, secret: await demoSecret(folder.path), handOver: () => Promise.resolve() };
  }
  const database = await openServer({ url: config.databaseUrl, poolSize: config.databasePoolSize });
  releases.push(() => database.close());
  const lock = await holdNodeLock({
    url: config.databaseUrl,
    shared: config.redisUrl !== undefined,
    onLost: onFatal,
  });
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

/** In the demo guests are on and the database has no password: it is for this machine unless asked otherwise. */
export function hostOf(config: Config): string {
  return config.host ?? (config.embedded ? '127.0.0.1' : '0.0.0.0');
}

/** The port alone, or shared with other workers. */
const listenOptions = { shared: 0, alone: 1 } as const;

function listen(
  app: uWS.TemplatedApp,
  config: Config,
  alone: boolean,
): Promise<{ url: string; socket: us_listen_socket }> {
  const host = hostOf(config);
  return new Promise((resolve, reject) => {
    const listening = (socket: us_listen_socket | false): void => {
      if (socket === false) {
        reject(portInUse(host, config.port));
        return;
      }
      const port = uWS.us_socket_local_port(socket as never);
      resolve({ url: `http://${host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host}:${port}`, socket });
    };
    // By default uWS shares the port, and a second server started by mistake would give no error. uWS takes options with
    // a host too, its types do not say so.
    const listenWith = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      done: typeof listening,
    ) => void;
    listenWith(host, config.port, alone ? listenOptions.alone : listenOptions.shared, listening);
  });
}
