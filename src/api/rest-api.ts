/** Makes the REST API of its parts and serves it under `/api/v1`. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { Commands } from '../commands/dispatcher.ts';
import type { ClientAddress } from '../http/client-address.ts';
import type { OriginSettings } from '../http/origins.ts';
import { authRoutes } from '../protocol/routes/auth.ts';
import { apiPrefix } from '../protocol/http-route.ts';
import { changeRoutes } from '../protocol/routes/changes.ts';
import { jobRoutes } from '../protocol/routes/jobs.ts';
import { keyRoutes } from '../protocol/routes/keys.ts';
import { notificationRoutes } from '../protocol/routes/notifications.ts';
import { publishRoutes } from '../protocol/routes/publish.ts';
import { specRoutes } from '../protocol/routes/spec.ts';
import { uploadRoutes } from '../protocol/routes/uploads.ts';
import { userRoutes } from '../protocol/routes/users.ts';
import { deadLetterRoutes } from '../protocol/routes/dead-letters.ts';
import { webhookRoutes } from '../protocol/routes/webhooks.ts';
import type { Connections } from '../hub/connections.ts';
import type { Release } from '../storage/open.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Hub } from '../hub/hub.ts';
import type { Messaging } from '../messaging.ts';
import type { Notifications } from '../notifications/notifications.ts';
import type { DeadLetters } from '../notifications/dead-letters/dead-letters.ts';
import type { StoredWebhooks } from '../notifications/webhooks/stored-webhooks.ts';
import type { UserRates } from '../rates/user-rates.ts';
import type { LocalSessions } from '../sessions/local-sessions.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { TokenSigning, TokenVerifier } from '../sessions/tokens.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { serveFetch } from './bridge/bridge.ts';
import type { ApiKeys } from './keys/api-keys.ts';
import { Callers } from './callers.ts';
import { commandOperations } from './command-operations.ts';
import { Guests, type GuestSettings } from './guests.ts';
import type { ActingParts } from './identity.ts';
import type { Jobs } from './jobs/jobs.ts';
import type { KeyManagement } from './keys/stored-keys.ts';
import { asyncApi } from './asyncapi.ts';
import { docsPage } from './docs-page.ts';
import { openApi } from './openapi.ts';
import { routeOperations, type Operation, type Reply } from './operation.ts';
import type { Idempotency } from './idempotency.ts';
import type { RequestRates } from './request-rates.ts';
import { problemResponse, restFetch } from './rest.ts';
import { authHandlers } from './routes/auth.ts';
import { changeHandlers } from './routes/changes.ts';
import { notificationHandlers } from './routes/notifications.ts';
import { publishHandlers } from './routes/publish.ts';
import { jobHandlers } from './routes/jobs.ts';
import { keyHandlers } from './routes/keys.ts';
import { uploadDiscovery, uploadHandlers } from './routes/uploads.ts';
import { userHandlers } from './routes/users.ts';
import { deadLetterHandlers } from './routes/dead-letters.ts';
import { webhookHandlers } from './routes/webhooks.ts';
import { filesPrefix } from '../uploads/signed-links.ts';
import { uploadsPath, type Uploads } from '../uploads/uploads.ts';
import { Files } from './files.ts';
import { followOperation } from './streams/follow.ts';
import type { Exports } from './streams/exports.ts';
import { Streams, type StreamSettings } from './streams/streams.ts';
import type { WalletSignIn } from './wallet/wallet-sign-in.ts';

export interface RestApiParts {
  readonly commands: Pick<Commands, 'call' | 'attend'>;
  readonly messaging: Pick<
    Messaging,
    | 'connectLoad'
    | 'knownUsers'
    | 'profiles'
    | 'visibility'
    | 'writer'
    | 'bodies'
    | 'readMarks'
    | 'requirePurge'
    | 'files'
  >;
  readonly notifications: Pick<Notifications, 'explain'>;
  readonly connections: Pick<Connections, 'rename'>;
  readonly fanout: Pick<Fanout, 'publish'>;
  readonly sessions: Pick<LocalSessions, 'revokeAll' | 'revokedAmong'>;
  readonly registry: Pick<SessionRegistry, 'revokeSession'>;
  readonly verifier: TokenVerifier;
  readonly keys: Pick<ApiKeys, 'verify' | 'onRevoked'> & KeyManagement;
  readonly hub: Pick<Hub, 'followers' | 'interest' | 'resequencer'>;
  readonly streaming: StreamSettings;
  /** Undefined: the server has no secret, and only checks tokens. */
  readonly signing: TokenSigning | undefined;
  /** Undefined outside of the embedded demo. */
  readonly guests: GuestSettings | undefined;
  /** Undefined: users do not sign in by wallet. */
  readonly wallet: WalletSignIn | undefined;
  readonly rates: RequestRates;
  readonly userRates: UserRates;
  readonly idempotency: Idempotency;
  readonly jobs: Jobs;
  readonly exports: Exports;
  readonly maxImportBytes: number;
  /** Undefined: the server takes no uploads. */
  readonly uploads: Uploads | undefined;
  readonly webhooks: StoredWebhooks;
  readonly deadLetters: DeadLetters;
  readonly clientAddress: ClientAddress;
  readonly origins: OriginSettings;
  readonly version: string;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly releases: Release[];
}

type OperationParts = Omit<RestApiParts, 'guests'> & { readonly guests: Guests | undefined; readonly streams: Streams };

const maxBodyBytes = 4 * 1024 * 1024;
/** Everybody may send to some of these addresses. */
const authPrefix = `${apiPrefix}/auth/`;
const maxAuthBodyBytes = 64 * 1024;
const importPath = `${apiPrefix}${jobRoutes.import.http.path}`;

export interface RestApi {
  /** Ends the streams, spread over the window. */
  drain(windowMs: number): Promise<void>;
}

export function openRestApi(app: TemplatedApp, parts: RestApiParts): RestApi {
  const { metrics, log } = parts;
  const { guests: guestSettings, signing } = parts;
  const guests =
    guestSettings === undefined || signing === undefined
      ? undefined
      : new Guests({ ...guestSettings, signing, metrics });
  parts.releases.push(() => guests?.stop());
  const streams = new Streams({ ...parts, settings: parts.streaming });
  const operations = restOperations({ ...parts, guests, streams });
  const callers = new Callers({ ...parts, admit: (token) => parts.messaging.connectLoad.memberships(token) });
  const discovery = uploadDiscovery(parts.uploads);
  const maxUploadBytes = parts.uploads?.settings.maxBytes ?? maxBodyBytes;
  const maxBytesOf = (path: string): number => {
    if (path.startsWith(authPrefix)) return maxAuthBodyBytes;
    if (path === importPath) return parts.maxImportBytes;
    return path === uploadsPath || path.startsWith(`${uploadsPath}/`) ? maxUploadBytes : maxBodyBytes;
  };
  const common = {
    clientAddress: parts.clientAddress,
    problem: problemResponse,
    failed: (error: unknown) => {
      metrics.internalErrors.inc({ where: 'http' });
      log.error({ err: error }, 'The REST API failed to answer a request; the client got the error `internal`.');
    },
  };
  serveFetch(app, apiPrefix, restFetch({ ...parts, operations, callers, discovery }, parts.origins), {
    ...common,
    maxBodyBytes: (_method, path) => maxBytesOf(path),
  });
  if (parts.uploads !== undefined) {
    const files = new Files({ ...parts, uploads: parts.uploads });
    serveFetch(app, filesPrefix, (request, env) => files.fetch(request, env), { ...common, maxBodyBytes: 0 });
  }
  return { drain: (windowMs) => streams.drain(windowMs) };
}

export function restOperations(parts: OperationParts): readonly Operation[] {
  const { messaging, sessions, registry, streams } = parts;
  const acting: ActingParts & Pick<RestApiParts, 'commands'> = {
    commands: parts.commands,
    nameOf: (user) => messaging.knownUsers.nameOf(user),
    ownerOf: (room) => messaging.knownUsers.ownerOf(room),
  };
  const operations: Operation[] = commandOperations({
    ...acting,
    revoke: ({ user }, session) =>
      session === undefined ? sessions.revokeAll(user.id) : registry.revokeSession(user.id, session),
  }).map((operation) =>
    operation.name === 'history' ? followOperation(operation, { ...acting, streams }) : operation,
  );
  const { writer, bodies, knownUsers, readMarks } = messaging;
  const publishing = {
    ...parts,
    writer,
    bodies,
    knownUsers,
    readMarks,
    rates: parts.userRates,
    files: () => messaging.files,
  };
  operations.push(...routeOperations(publishRoutes, publishHandlers(publishing)));
  let document: object | undefined;
  let events: object | undefined;
  let page: Reply | undefined;
  operations.push(
    ...routeOperations(changeRoutes, changeHandlers(acting)),
    ...routeOperations(authRoutes, authHandlers(parts)),
    ...routeOperations(
      userRoutes,
      userHandlers({
        ...acting,
        profiles: () => messaging.profiles,
        visibility: () => messaging.visibility,
        rename: (user, name) => parts.connections.rename(user, name),
      }),
    ),
    ...routeOperations(notificationRoutes, notificationHandlers({ ...acting, notifications: parts.notifications })),
    ...routeOperations(jobRoutes, jobHandlers({ ...parts, ...acting })),
    ...routeOperations(uploadRoutes, uploadHandlers({ ...acting, uploads: parts.uploads })),
    ...routeOperations(keyRoutes, keyHandlers(parts.keys)),
    ...routeOperations(webhookRoutes, webhookHandlers(parts.webhooks)),
    ...routeOperations(deadLetterRoutes, deadLetterHandlers(parts.deadLetters)),
    ...routeOperations(specRoutes, {
      'spec:openapi': () => (document ??= openApi(operations, parts.version)),
      'spec:asyncapi': () => (events ??= asyncApi(parts.version)),
      'spec:docs': () => (page ??= docsPage(operations, parts.version)),
    }),
  );
  return operations;
}
