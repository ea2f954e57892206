/** Makes the REST API of its parts and serves it under `/api/v1`. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { Commands } from '../commands/dispatcher.ts';
import type { ClientAddress } from '../http/client-address.ts';
import type { OriginSettings } from '../http/origins.ts';
import { changeRoutes } from '../protocol/routes/changes.ts';
import { specRoutes } from '../protocol/routes/spec.ts';
import type { Hub } from '../hub/hub.ts';
import type { Messaging } from '../messaging.ts';
import type { LocalSessions } from '../sessions/local-sessions.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { TokenVerifier } from '../sessions/tokens.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { serveFetch } from './bridge/bridge.ts';
import type { ApiKeys } from './keys/api-keys.ts';
import { Callers } from './callers.ts';
import { commandOperations } from './command-operations.ts';
import { openApi } from './openapi.ts';
import { routeOperations, type Operation } from './operation.ts';
import type { Idempotency } from './idempotency.ts';
import type { RequestRates } from './request-rates.ts';
import { apiPrefix, restFetch } from './rest.ts';
import { changeHandlers } from './routes/changes.ts';
import { followOperation } from './streams/follow.ts';
import { Streams, type StreamSettings } from './streams/streams.ts';

export interface RestApiParts {
  readonly commands: Pick<Commands, 'call'>;
  readonly messaging: Pick<Messaging, 'connectLoad' | 'knownUsers'>;
  readonly sessions: Pick<LocalSessions, 'revokeAll' | 'revokedAmong'>;
  readonly registry: Pick<SessionRegistry, 'revokeSession'>;
  readonly verifier: TokenVerifier;
  readonly keys: Pick<ApiKeys, 'verify' | 'onRevoked'>;
  readonly hub: Pick<Hub, 'followers' | 'interest' | 'resequencer'>;
  readonly streaming: StreamSettings;
  readonly rates: RequestRates;
  readonly idempotency: Idempotency;
  readonly clientAddress: ClientAddress;
  readonly origins: OriginSettings;
  readonly version: string;
  readonly metrics: Metrics;
  readonly log: Log;
}

const maxBodyBytes = 4 * 1024 * 1024;

export interface RestApi {
  /** Ends the streams, spread over the window. */
  drain(windowMs: number): Promise<void>;
}

export function openRestApi(app: TemplatedApp, parts: RestApiParts): RestApi {
  const { metrics, log } = parts;
  const streams = new Streams({ ...parts, settings: parts.streaming });
  const operations = restOperations({ ...parts, streams });
  const callers = new Callers({ ...parts, admit: (token) => parts.messaging.connectLoad.memberships(token) });
  serveFetch(app, apiPrefix, restFetch({ ...parts, operations, callers }, parts.origins), {
    clientAddress: parts.clientAddress,
    maxBodyBytes,
    failed: (error) => {
      metrics.internalErrors.inc({ where: 'http' });
      log.error({ err: error }, 'The REST API failed to answer a request; the client got the error `internal`.');
    },
  });
  return { drain: (windowMs) => streams.drain(windowMs) };
}

export function restOperations(parts: RestApiParts & { readonly streams: Streams }): readonly Operation[] {
  const { messaging, sessions, registry, streams } = parts;
  const acting = {
    commands: parts.commands,
    nameOf: (user: string) => messaging.knownUsers.nameOf(user),
    ownerOf: (room: string) => messaging.knownUsers.ownerOf(room),
  };
  const operations: Operation[] = commandOperations({
    ...acting,
    revoke: ({ user }, session) =>
      session === undefined ? sessions.revokeAll(user.id) : registry.revokeSession(user.id, session),
  }).map((operation) =>
    operation.name === 'history' ? followOperation(operation, { ...acting, streams }) : operation,
  );
  let document: object | undefined;
  operations.push(
    ...routeOperations(changeRoutes, changeHandlers(acting)),
    ...routeOperations(specRoutes, {
      'spec:openapi': () => (document ??= openApi(operations, parts.version)),
    }),
  );
  return operations;
}
