/** Makes the REST API of its parts and serves it under `/api/v1`. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { Commands } from '../commands/dispatcher.ts';
import type { ClientAddress } from '../http/client-address.ts';
import type { OriginSettings } from '../http/origins.ts';
import { publishRoutes } from '../protocol/routes/publish.ts';
import { specRoutes } from '../protocol/routes/spec.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Messaging } from '../messaging.ts';
import type { UserRates } from '../rates/user-rates.ts';
import type { LocalSessions } from '../sessions/local-sessions.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { TokenVerifier } from '../sessions/tokens.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { serveFetch } from './bridge/bridge.ts';
import { Callers, type CallersParts } from './callers.ts';
import { commandOperations } from './command-operations.ts';
import { openApi } from './openapi.ts';
import { routeOperations, type Operation } from './operation.ts';
import type { Idempotency } from './idempotency.ts';
import type { RequestRates } from './request-rates.ts';
import { apiPrefix, restFetch } from './rest.ts';
import { publishHandlers } from './routes/publish.ts';

export interface RestApiParts {
  readonly commands: Pick<Commands, 'call' | 'attend'>;
  readonly messaging: Pick<Messaging, 'connectLoad' | 'knownUsers' | 'writer' | 'bodies' | 'readMarks'>;
  readonly fanout: Pick<Fanout, 'publish'>;
  readonly sessions: Pick<LocalSessions, 'revokeAll'>;
  readonly registry: Pick<SessionRegistry, 'revokeSession'>;
  readonly verifier: TokenVerifier;
  readonly keys: CallersParts['keys'];
  readonly rates: RequestRates;
  readonly userRates: UserRates;
  readonly idempotency: Idempotency;
  readonly clientAddress: ClientAddress;
  readonly origins: OriginSettings;
  readonly version: string;
  readonly metrics: Metrics;
  readonly log: Log;
}

const maxBodyBytes = 4 * 1024 * 1024;

export function openRestApi(app: TemplatedApp, parts: RestApiParts): void {
  const { metrics, log } = parts;
  const operations = restOperations(parts);
  const callers = new Callers({ ...parts, admit: (token) => parts.messaging.connectLoad.memberships(token) });
  serveFetch(app, apiPrefix, restFetch({ ...parts, operations, callers }, parts.origins), {
    clientAddress: parts.clientAddress,
    maxBodyBytes,
    failed: (error) => {
      metrics.internalErrors.inc({ where: 'http' });
      log.error({ err: error }, 'The REST API failed to answer a request; the client got the error `internal`.');
    },
  });
}

export function restOperations(parts: RestApiParts): readonly Operation[] {
  const { messaging, sessions, registry } = parts;
  const operations: Operation[] = commandOperations({
    ...parts,
    nameOf: (user) => messaging.knownUsers.nameOf(user),
    revoke: ({ user }, session) =>
      session === undefined ? sessions.revokeAll(user.id) : registry.revokeSession(user.id, session),
    ownerOf: (room) => messaging.knownUsers.ownerOf(room),
  });
  const { writer, bodies, knownUsers, readMarks } = messaging;
  const publishing = { ...parts, writer, bodies, knownUsers, readMarks, rates: parts.userRates };
  operations.push(...routeOperations(publishRoutes, publishHandlers(publishing)));
  let document: object | undefined;
  operations.push(
    ...routeOperations(specRoutes, {
      'spec:openapi': () => (document ??= openApi(operations, parts.version)),
    }),
  );
  return operations;
}
