/** Starts the parts in order, each with its own settings, and stops them in reverse order. */
import uWS, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { openHttp } from './api/open.ts';
import { openApiKeys, openIdempotency, openWalletSignIn } from './api/open-callers.ts';
import { openJobs, type OpenJobs } from './api/jobs/open.ts';
import { RequestRates } from './api/request-rates.ts';
import { openRestApi, type RestApi } from './api/rest-api.ts';
import { openDatabase, openTelemetry, type Base } from './base.ts';
import { requireKeys, type Config } from './config/config.ts';
import {
  apiKeySlice,
  cacheSlice,
  fanoutSlice,
  gatewaySlice,
  guestSlice,
  jobSlice,
  ledgerSlice,
  listenSlice,
  logSlice,
  messagingSlice,
  notificationSlice,
  originSlice,
  presenceSlice,
  rateSlice,
  redisSlice,
  requestRateSlice,
  signingSlice,
  stopSlice,
  streamSlice,
  storageSlice,
  tokenSlice,
  uploadSlice,
  walletSlice,
  type FanoutSlice,
  type MessagingSlice,
  type PresenceSlice,
  type TokenSlice,
  type UploadSlice,
} from './config/slices.ts';
import { openFanout } from './fanout/open.ts';
import { openGateway, type Gateway } from './gateway.ts';
import { ClientAddress } from './http/client-address.ts';
import { openCommandServer } from './cli/beside/open.ts';
import { claimPort } from './http/port.ts';
import type { Connection } from './hub/connection.ts';
import { Connections } from './hub/connections.ts';
import { Messaging } from './messaging.ts';
import { openLedger } from './notifications/open-ledger.ts';
import { openNotifications } from './notifications/open.ts';
import { newVapidKeys } from './notifications/push/vapid.ts';
import { Inspection } from './presence/inspection.ts';
import { openPresence, type PresenceOptions } from './presence/open.ts';
import { openRates } from './rates/open.ts';
import { openUserRates } from './rates/user-rates.ts';
import { Epochs } from './recovery/epochs.ts';
import { checkSearchLanguage } from './search/search-language.ts';
import { demoSecret, pushKey, uploadSecret } from './sessions/demo-secret.ts';
import { LocalSessions } from './sessions/local-sessions.ts';
import { Revocations } from './sessions/revocations.ts';
import { TokenVerifier } from './sessions/tokens.ts';
import type { Cache } from './storage/cache.ts';
import { openCache } from './storage/cache/open.ts';
import type { ServerClock } from './storage/clock.ts';
import { Confirmations, type Applied } from './storage/confirmations.ts';
import type { Database } from './storage/database.ts';
import { readInstallation, renewEpoch } from './storage/installation.ts';
import { Lease } from './storage/lease.ts';
import { openCluster } from './storage/open-redis.ts';
import type { Release } from './storage/open.ts';
import type { RedisLink } from './storage/redis.ts';
import type { Readings } from './telemetry/group-metrics.ts';
import type { Health } from './telemetry/health.ts';
import type { Log } from './telemetry/log.ts';
import { readMachine } from './telemetry/machine.ts';
import { openUploads } from './uploads/open.ts';
import type { Uploads } from './uploads/uploads.ts';
import type { MessageFiles } from './uploads/message-files.ts';
import { version } from './version.ts';

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
  const { host, port } = listenSlice(config);
  // the first step; the workers of a group share a port that their parent has claimed
  if (group === undefined) await claimPort(host, port);
  const releases: Release[] = [];
  const stop = async (): Promise<void> => {
    for (const release of releases.splice(0).toReversed()) await release();
  };
  try {
    return { ...(await start(config, onFatal, group, releases)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  config: Config,
  onFatal: (error: Error) => void,
  group: Group | undefined,
  releases: Release[],
): Promise<Omit<RunningApp, 'stop'>> {
  const base = openTelemetry(logSlice(config, process.stdout.isTTY), config.nodeName, releases);
  const { metrics, log } = base;
  const messagingSettings = messagingSlice(config);

  const storage = await openDatabase(storageSlice(config), onFatal, base);
  await requireSearchLanguage(messagingSettings, storage.database);
  const redis = await openCluster(redisSlice(config), base, releases);
  const secret = storage.folder === undefined ? undefined : await demoSecret(storage.folder);
  const identity = await openIdentity(tokenSlice(config, secret), storage.database, base);

  const machine = readMachine(config.maxConnections, config.databasePoolSize, group?.workers ?? 1, log);
  const nodes = await openNodes(fanoutSlice(config), { redis, ...storage, ...identity }, base);
  const cacheParts = { node: base.node, installation: identity.epochs.id, metrics: metrics.cache, log };
  const cache = await openCache(cacheSlice(config), redis, cacheParts);
  releases.push(() => cache.close());
  const linkSecret = storage.folder === undefined ? undefined : await uploadSecret(storage.folder);
  const uploads = await openFiles(uploadSlice(config, linkSecret), storage, base);
  const messaging = openMessaging(messagingSettings, { ...storage, ...nodes, cache, files: uploads?.files }, base);
  const users = await openUsers(presenceSlice(config), { redis, messaging, ...storage, ...identity, ...nodes }, base);
  const demoPushKey =
    storage.folder === undefined ? undefined : await pushKey(storage.folder, () => newVapidKeys().privateKey);
  const { webhooks, deadLetters, ...outward } = await openNotifications(
    notificationSlice(config, demoPushKey),
    { redis, ...storage, ...users.presence, version },
    base,
  );
  const notifying = { ...storage, ...nodes, ...users.presence, ...outward, messaging };
  const notifications = openLedger(ledgerSlice(config), notifying, base);
  const counts = openRates(redis, { prefix: redisSlice(config).prefix, node: base.node }, metrics);
  const rates = openUserRates(rateSlice(config), counts);
  releases.push(
    () => counts.stop(),
    () => rates.stop(),
  );

  const app = uWS.App();
  const listening = listenSlice(config);
  const clientAddress = new ClientAddress(listening.trustedProxies);
  const parts = {
    app,
    clientAddress,
    messaging,
    notifications,
    rates,
    cache,
    ...identity,
    ...nodes,
    ...users,
    ...base,
  };
  const gateway = await openGateway(gatewaySlice(config, machine), parts);
  if (redis !== undefined)
    await openBackends(redisSlice(config).prefix, config.socketioInterop, { redis, gateway }, base);

  const origins = originSlice(config);
  const keys = openApiKeys(apiKeySlice(config), storage, base);
  const requestRates = new RequestRates({ ...requestRateSlice(config), rates: counts.rates, metrics });
  const idempotency = openIdempotency(storage.database, base);
  const jobSettings = jobSlice(config);
  const jobParts = { redis, prefix: redisSlice(config).prefix, ...storage, ...nodes, ...users, messaging, cache, keys };
  const jobs = await openJobs(jobSettings, jobParts, base);
  const [signing, guests] = [signingSlice(config, secret), guestSlice(config, secret)];
  const wallet = openWalletSignIn(walletSlice(config), signing, storage.database);
  const ofRequests = {
    rates: requestRates,
    userRates: rates,
    keys,
    idempotency,
    ...jobs,
    maxImportBytes: jobSettings.maxImportBytes,
    uploads,
    webhooks,
    deadLetters,
    signing,
    guests,
    wallet,
    streaming: streamSlice(config),
  };
  const rest = openRestApi(app, { ...parts, ...gateway.rest, ...ofRequests, origins, version });

  await openCommandServer(
    {
      config,
      database: storage.database,
      node: base.node,
      sessions: users.presence.nodes,
      inspect: (question) => gateway.inspect(question),
      cache,
      log,
    },
    releases,
  );

  const alone = group === undefined;
  const metricsText = group?.metrics ?? (() => metrics.text());
  const pages = { ...listening, origins, alone };
  const { url, adminUrl, socket } = await openHttp(
    app,
    pages,
    { ...base, version, clientAddress, metricsText },
    releases,
  );

  const warming = messaging.warmUp();
  releases.push(() => warming);
  const { drainMs } = stopSlice(config);
  // a lone node: the process that starts next may write
  const handOver = redis === undefined ? storage.handOver : undefined;
  releases.push(() => drainAndClose({ app, socket, gateway, rest, jobs, messaging, handOver, ...base }, drainMs));
  return {
    url,
    adminUrl,
    log,
    demoSecret: guests === undefined ? undefined : signing?.secret,
    readings: () => metrics.readings(),
  };
}

async function requireSearchLanguage({ search, searchLanguage }: MessagingSlice, database: Database): Promise<void> {
  if (search) await database.explaining(() => checkSearchLanguage(database.sql, searchLanguage));
}

/** The tokens of users, and the identity of the database. */
async function openIdentity(settings: TokenSlice, { sql }: Database, { metrics, log, releases }: Base) {
  const verifier = await TokenVerifier.create(settings, { note: (fields, line) => log.info(fields, line) });
  const renew = (expected: string): Promise<boolean> => renewEpoch(sql, expected);
  const epochs = new Epochs({ read: () => readInstallation(sql), renew, metrics, log });
  releases.push(() => epochs.stop());
  await epochs.start();
  return { verifier, epochs };
}

interface Cluster {
  /** Undefined: this node is alone. */
  readonly redis: RedisLink | undefined;
  readonly database: Database;
}

/** The ways between nodes: fan-out, and the lease, which removals wait for. */
async function openNodes(
  settings: FanoutSlice,
  { redis, database, epochs }: Cluster & { readonly epochs: Epochs },
  base: Base,
) {
  const { metrics, log, releases } = base;
  const otherEpoch = (): void => epochs.hint();
  const fanout = await openFanout(settings, redis, { installation: epochs, otherEpoch, metrics, log });
  releases.push(() => fanout.close());
  const confirmations = new Confirmations({ sql: database.lease, metrics, log });
  const applied = (of: Applied): Promise<void> => confirmations.applied(of);
  const lease = new Lease({ confirmations, alone: redis === undefined, metrics, log });
  return { fanout, applied, lease };
}

type OpenNodes = Awaited<ReturnType<typeof openNodes>>;

/** The parts that store and read rooms and messages. Their timers stop with the gateway. */
function openMessaging(
  settings: MessagingSlice,
  {
    database,
    clock,
    fanout,
    applied,
    cache,
    files,
  }: Pick<OpenNodes, 'fanout' | 'applied'> & {
    readonly database: Database;
    readonly clock: ServerClock;
    readonly cache: Cache;
    readonly files: MessageFiles | undefined;
  },
  { metrics, log }: Base,
): Messaging {
  const now = (): number => clock.now();
  const messaging = new Messaging({ ...settings, ...database, applied, now, fanout, cache, files, metrics, log });
  metrics.watchWriter(() => messaging.writer.waiting + messaging.changes.waiting + messaging.pins.waiting);
  return messaging;
}

/** The connections of this node, the sessions of their users, and presence. */
async function openUsers(
  settings: PresenceSlice,
  parts: Cluster & OpenNodes & { readonly messaging: Messaging; readonly verifier: TokenVerifier },
  { node, metrics, log, releases }: Base,
) {
  const { redis, lease, messaging } = parts;
  const connections = new Connections();
  const revocations = new Revocations(parts.database.sql, parts.applied);
  const sessions = new LocalSessions({ connections, tokens: parts.verifier, revocations, node, metrics });
  const sights: PresenceOptions<Connection>['sights'] = (pairs) => messaging.visibility.of(pairs);
  const presence = await openPresence({
    ...settings,
    redis,
    node,
    metrics,
    log,
    host: sessions,
    revocations,
    sights,
    lease,
  });
  releases.push(() => presence.close());
  return { connections, sessions, presence };
}

/** The files of users. @param settings undefined: the server takes none */
async function openFiles(
  settings: UploadSlice,
  { database, clock }: { readonly database: Database; readonly clock: ServerClock },
  { metrics, log, releases }: Base,
): Promise<Uploads | undefined> {
  if (settings === undefined) return undefined;
  const uploads = await openUploads(settings, { ...database, now: () => clock.now(), metrics, log });
  releases.push(() => uploads.stop());
  return uploads;
}

/** The inputs over Redis beside fan-out: events of back ends, and questions of `parley inspect`. */
async function openBackends(
  prefix: string,
  interop: boolean,
  { redis, gateway }: { readonly redis: RedisLink; readonly gateway: Gateway },
  { node, log, releases }: Base,
): Promise<void> {
  if (interop) {
    releases.push(() => gateway.closeInterop());
    await gateway.openInterop(redis);
  }
  const inspection = new Inspection({ redis, prefix, node, log, answer: (question) => gateway.inspect(question) });
  releases.push(() => inspection.close());
}

interface Closing {
  readonly app: TemplatedApp;
  readonly socket: us_listen_socket;
  readonly gateway: Gateway;
  readonly rest: RestApi;
  readonly jobs: OpenJobs;
  readonly messaging: Messaging;
  /** Gives the database to the process that starts next. Undefined: other nodes have the database too. */
  readonly handOver: (() => Promise<void>) | undefined;
  readonly health: Health;
}

/** The first step of the stop: no new connection, then no open one. */
async function drainAndClose(
  { app, socket, gateway, rest, jobs, messaging, handOver, health }: Closing,
  drainMs: number,
): Promise<void> {
  health.stop();
  uWS.us_listen_socket_close(socket);
  gateway.refuseConnections();
  // other nodes, or the process that starts next, go on with them
  await jobs.stop();
  if (handOver !== undefined) {
    // the clients of this node `sync` the writes of the next process after they have moved there
    await gateway.finishWrites();
    await messaging.stop();
    await handOver();
  }
  await Promise.all([gateway.drain(drainMs), rest.drain(drainMs)]);
  await gateway.finishCommands();
  await messaging.stop();
  await gateway.close();
  app.close();
}
