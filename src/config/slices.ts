/**
 * The slice of each module: the only settings that the module gets, with every default that depends on another setting. The
 * composition root (app.ts) calls these functions and passes each slice by constructor; no module gets the whole configuration.
 */
import { join } from 'node:path';
import { vapidKeys } from '../notifications/push/vapid.ts';
import { lanes, type Lane } from '../protocol/lanes.ts';
import type { Machine } from '../telemetry/machine.ts';
import type { Config } from './config.ts';
import { userLimits } from './user-limits.ts';

function pick<K extends keyof Config>(config: Config, names: readonly K[]): Pick<Config, K> {
  return Object.fromEntries(names.map((name) => [name, config[name]])) as Pick<Config, K>;
}

export type LogSlice = ReturnType<typeof logSlice>;
/** @param terminal whether the output is a terminal, which is the default of PARLEY_LOG_PRETTY */
export function logSlice(config: Config, terminal: boolean) {
  return { level: config.logLevel, pretty: config.logPretty ?? terminal };
}

export type ListenSlice = ReturnType<typeof listenSlice>;
/** In the demo guests are on and the database has no password, so that it listens for this machine alone by default. */
export function listenSlice(config: Config) {
  const host = config.host ?? (config.embedded ? '127.0.0.1' : '0.0.0.0');
  const { port, adminPort, adminHost, trustedProxies } = config;
  const admin = adminPort === undefined ? undefined : { host: adminHost, port: adminPort };
  return { host, port, admin, trustedProxies };
}

export type OriginSlice = ReturnType<typeof originSlice>;
export function originSlice(config: Config) {
  return { origins: config.origins, localOrigins: config.embedded };
}

export type StorageSlice = ReturnType<typeof storageSlice>;
/** `server` is undefined in the embedded demo. */
export function storageSlice(config: Config) {
  const { dataDir, databaseUrl: url } = config;
  const server =
    url === undefined
      ? undefined
      : {
          url,
          poolSize: config.databasePoolSize,
          reads: {
            size: config.databaseReadPoolSize,
            waitMs: config.databaseReadWaitMs,
            statementTimeoutMs: config.databaseReadTimeoutMs,
          },
          backgroundPoolSize: config.databaseBackgroundPoolSize,
        };
  return { dataDir, server, shared: config.redisUrl !== undefined };
}

export type RedisSlice = ReturnType<typeof redisSlice>;
/** `url` is undefined for a lone process. */
export function redisSlice(config: Config) {
  return { url: config.redisUrl, prefix: config.redisPrefix };
}

export type NotificationSlice = ReturnType<typeof notificationSlice>;
/** @param demoKey the key for push services that the data folder keeps, in the embedded demo */
export function notificationSlice(config: Config, demoKey?: string) {
  return {
    ...laneSlice(config),
    outgoing: outgoingSlice(config),
    webhooks: webhookSlice(config),
    push: pushSlice(config, demoKey),
  };
}

export type PushSlice = ReturnType<typeof pushSlice>;
export function pushSlice(config: Config, demoKey: string | undefined) {
  const privateKey = config.vapidPrivateKey ?? demoKey;
  return {
    vapid: privateKey === undefined ? undefined : vapidKeys(privateKey),
    subject: config.vapidSubject,
    maxDevicesPerUser: config.maxDevicesPerUser,
    ttlMs: config.pushTtlMs,
    retryMs: config.pushRetryMs,
    giveUpMs: config.pushGiveUpMs,
    timeoutMs: config.outgoingTimeoutMs,
  };
}

export type LaneSlice = ReturnType<typeof laneSlice>;
export function laneSlice(config: Config) {
  return {
    prefix: config.redisPrefix,
    slots: Object.fromEntries(lanes.map((lane, index) => [lane, config.laneSlots[index]])) as Record<Lane, number>,
    allowEviction: config.laneEviction === 'allow',
    works: config.roles.includes('worker'),
  };
}

export type FanoutSlice = ReturnType<typeof fanoutSlice>;
export function fanoutSlice(config: Config) {
  return { prefix: config.redisPrefix, partitions: config.fanoutPartitions };
}

export type CacheSlice = ReturnType<typeof cacheSlice>;
export function cacheSlice(config: Config) {
  return {
    prefix: config.redisPrefix,
    maxBytes: config.cacheMaxBytes,
    maxSharedBytes: config.cacheMaxSharedBytes,
    maxLoads: config.cacheMaxLoads,
    maxWaitingLoads: config.cacheMaxWaitingLoads,
  };
}

export type PresenceSlice = ReturnType<typeof presenceSlice>;
export function presenceSlice(config: Config) {
  return pick(config, ['redisPrefix']);
}

export type TokenSlice = ReturnType<typeof tokenSlice>;
/** @param demoSecret the secret of the data folder, in the embedded demo */
export function tokenSlice(config: Config, demoSecret: string | undefined) {
  return {
    secrets: [config.jwtSecret ?? demoSecret, config.jwtPreviousSecret].filter((value) => value !== undefined),
    publicKey: config.jwtPublicKey,
    jwksUrl: config.jwksUrl,
    issuer: config.jwtIssuer,
    audience: config.jwtAudience,
    leewayMs: config.jwtLeewayMs,
  };
}

export type ApiKeySlice = ReturnType<typeof apiKeySlice>;
export function apiKeySlice(config: Config) {
  return {
    maxKeys: config.maxApiKeys,
    requestsPerHour: config.apiKeyRequestsPerHour,
    overlapMs: config.apiKeyOverlapMs,
    failuresPerMinutePerAddress: config.apiKeyFailuresPerMinutePerAddress,
  };
}

export type SigningSlice = ReturnType<typeof signingSlice>;
/** @returns undefined where the server has no secret, and only checks tokens. */
export function signingSlice(config: Config, demoSecret: string | undefined) {
  const secret = config.jwtSecret ?? demoSecret;
  return secret === undefined ? undefined : { secret, issuer: config.jwtIssuer, audience: config.jwtAudience };
}

export type WalletSlice = ReturnType<typeof walletSlice>;
/** @returns undefined where users do not sign in by wallet. */
export function walletSlice(config: Config) {
  const { walletDomains, walletChains } = config;
  return walletDomains.length === 0 ? undefined : { walletDomains, walletChains };
}

export type GuestSlice = ReturnType<typeof guestSlice>;
/** @returns undefined outside of the embedded demo. */
export function guestSlice(config: Config, demoSecret: string | undefined) {
  return demoSecret === undefined ? undefined : { perMinute: config.guestsPerMinute };
}

export type RateSlice = ReturnType<typeof rateSlice>;
export function rateSlice(config: Config) {
  const { joinsPerMinutePerUser, invitationsPerMinutePerUser, tiers } = userLimits(config);
  return {
    ...pick(config, ['connectsPerMinutePerUser']),
    joinsPerMinutePerUser,
    invitationsPerMinutePerUser,
    tiers,
  };
}

export type RequestRateSlice = ReturnType<typeof requestRateSlice>;
export function requestRateSlice(config: Config) {
  return pick(config, ['requestTiers', 'sensitiveRequestsPerMinute']);
}

export type StreamSlice = ReturnType<typeof streamSlice>;
export function streamSlice(config: Config) {
  return pick(config, ['maxStreams', 'maxStreamsPerCaller', 'maxStreamBufferBytes', 'streamHeartbeatMs']);
}

export type JobSlice = ReturnType<typeof jobSlice>;
export function jobSlice(config: Config) {
  return pick(config, [
    'maxJobs',
    'maxJobsPerCaller',
    'jobsAtOnce',
    'jobsAtOncePerCaller',
    'maxImportBytes',
    'maxExports',
    'maxExportBytes',
  ]);
}

export type LedgerSlice = ReturnType<typeof ledgerSlice>;
export function ledgerSlice(config: Config) {
  return { on: config.notifications === 'on', ledgerDays: config.ledgerDays };
}

export type UploadSlice = ReturnType<typeof uploadSlice>;
/**
 * Undefined: this server takes no uploads.
 * @param demoSecret the secret for links that the data folder keeps, in the embedded demo
 */
export function uploadSlice(config: Config, demoSecret: string | undefined) {
  const kind = config.uploadStore ?? (config.embedded ? 'folder' : 'off');
  const { uploadBucket: bucket, uploadAccessKey: accessKey, uploadSecretKey: secretKey } = config;
  const { uploadRegion: region, uploadEndpoint: endpoint, dataDir } = config;
  const folder = config.uploadFolder ?? join(dataDir, 'uploads');
  const secret = config.uploadSecret ?? demoSecret;
  if (kind === 'off' || secret === undefined) return undefined;
  if (kind === 's3' && (bucket === undefined || accessKey === undefined || secretKey === undefined)) return undefined;
  return {
    store:
      kind === 'folder'
        ? ({ kind, folder } as const)
        : ({
            kind,
            bucket: bucket ?? '',
            region,
            endpoint,
            accessKey: accessKey ?? '',
            secretKey: secretKey ?? '',
          } as const),
    secret,
    maxBytes: config.uploadMaxBytes,
    maxBytesPerUser: config.uploadMaxBytesPerUser,
    maxOpenPerUser: config.uploadMaxOpenPerUser,
    maxTransfers: config.uploadMaxTransfers,
    types: config.uploadTypes,
    linkMs: config.uploadLinkMs,
    orphanMs: config.uploadOrphanMs,
    sweepEveryMs: config.uploadSweepEveryMs,
  };
}

export type OutgoingSlice = ReturnType<typeof outgoingSlice>;
export function outgoingSlice(config: Config) {
  return {
    allowedNetworks: config.outgoingNetworks,
    timeoutMs: config.outgoingTimeoutMs,
    maxAnswerBytes: 64 * 1024,
  };
}

export type WebhookSlice = ReturnType<typeof webhookSlice>;
export function webhookSlice(config: Config) {
  return {
    maxWebhooks: config.maxWebhooks,
    retryMs: config.webhookRetryMs,
    failingMs: config.webhookFailingMs,
    maxWaiting: config.webhookMaxWaiting,
    keptMs: config.webhookKeptMs,
    overlapMs: config.webhookOverlapMs,
    timeoutMs: config.outgoingTimeoutMs,
  };
}

export type MessagingSlice = ReturnType<typeof messagingSlice>;
export function messagingSlice(config: Config) {
  return {
    ...pick(config, [
      'embedded',
      'attachmentHosts',
      'attachmentTypes',
      'attachmentMaxBytes',
      'writerBatch',
      'writerBatchBytes',
      'writerQueue',
      'editWindowMs',
      'retentionDays',
      'retentionEveryMs',
      'search',
      'searchLanguage',
      'searchesAtOnce',
      'databaseReadPoolSize',
      'databaseReadWaitMs',
      'maxRoomsPerUser',
      'maxMembersPerRoom',
    ]),
    writerStripes: config.writerStripes ?? (config.embedded ? 1 : 2),
    // the embedded database cannot end a statement
    searchTimeoutMs: config.embedded ? undefined : config.searchTimeoutMs,
  };
}

export type GatewaySlice = ReturnType<typeof gatewaySlice>;
export function gatewaySlice(config: Config, { maxConnections, memoryBytes, workers }: Machine) {
  const limits = userLimits(config);
  return {
    ...pick(config, [
      'pingIntervalMs',
      'pingTimeoutMs',
      'connectTimeoutMs',
      'upgradeTimeoutMs',
      'maxFrameBytes',
      'maxBufferedBytes',
      'softBufferedBytes',
      'behindBufferedBytes',
      'maxUnsentBytesPerUser',
      'maxUnsentBytesPerAddress',
      'compression',
      'tokenInUrl',
      'maxConnectionsPerUser',
      'maxConnectionsPerAddress',
      'connectsPerSecondPerAddress',
      'commandsPerSecond',
      'commandBurst',
      'maxRefusedCommands',
      'maxPendingCommands',
      'readsAtOncePerUser',
      'databaseReadWaitMs',
      'signalsPerSecond',
      'signalBurst',
      'socketioKey',
      'socketioMaxMessageBytes',
      'socketioRoomsPerConnection',
      'socketioMaxListed',
      'adding',
      'maxEventLoopDelayMs',
      'headsPollMs',
      'replayMessages',
      'replayBytes',
    ]),
    ...originSlice(config),
    commandsPerSecondPerUser: limits.commandsPerSecondPerUser,
    commandBurstPerUser: limits.commandBurstPerUser,
    signalsPerSecondPerUser: limits.signalsPerSecondPerUser,
    signalBurstPerUser: limits.signalBurstPerUser,
    bytesInPerSecondPerUser: limits.bytesInPerSecondPerUser,
    bytesOutPerSecondPerUser: limits.bytesOutPerSecondPerUser,
    commandsPerSecondPerAddress: limits.commandsPerSecondPerAddress,
    maxConnections,
    path: '/socket.io/',
    // a long-polling session is many requests, which the kernel would spread over the workers
    longPolling: workers === 1,
    maxMemoryBytes: config.maxMemoryBytes ?? Math.floor((memoryBytes * 0.8) / workers),
  };
}

export type StopSlice = ReturnType<typeof stopSlice>;
export function stopSlice(config: Config) {
  const drainMs = config.drainMs ?? (config.embedded ? 0 : 20_000);
  return { drainMs, limitMs: config.shutdownMs + drainMs };
}
