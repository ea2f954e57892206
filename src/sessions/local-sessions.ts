/** The connections of this node as sessions of their users: listed, and ended when their token is revoked. */
import { issuerClock } from './issuer-clock.ts';
import { admittedAfter, type KnownHere, type Revocation, type Revocations } from './revocations.ts';
import type { Identity, TokenVerifier } from './tokens.ts';
import type { PresenceHost } from '../presence/open.ts';
import type { VisiblePresence } from '../presence/sight.ts';
import type { CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { Session } from '../protocol/model.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from '../hub/connection.ts';
import type { Connections } from '../hub/connections.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import type { Form, Frames } from '../transport/socketio/packet.ts';

interface Renewal {
  readonly session: string;
  readonly token: Identity;
  revoked: boolean;
}

export interface LocalSessionsParts {
  readonly connections: Connections;
  readonly tokens: Pick<TokenVerifier, 'knownOf' | 'leewayMs'>;
  readonly revocations: Revocations;
  readonly node: string;
  readonly metrics: Metrics;
}

export class LocalSessions implements PresenceHost<Connection> {
  readonly #parts: LocalSessionsParts;
  /** Tokens with a query to the database under way: a revocation after that answer finds them here. */
  readonly #renewals = new Set<Renewal>();
  /** Revocations of all tokens of a user, the oldest first, for connections that arrive while one is applied. */
  readonly #recent = new Map<string, { readonly revocation: Revocation; readonly at: number }>();

  constructor(parts: LocalSessionsParts) {
    this.#parts = parts;
  }

  /** Revokes all tokens and sessions of the user but this one. */
  async revokeOthers(connection: Connection): Promise<CommandOutput<'session:revoke'>> {
    const { identity: token, session } = connection;
    if (token !== undefined) {
      const { revocations } = this.#parts;
      const here = this.#here(token.user, () => true);
      if (await revocations.revokeAll(token.user, 'user', { token, session }, here)) return {};
    }
    throw new ParleyError('unauthorized', 'The token of this connection has been revoked.');
  }

  /** Revokes all tokens and sessions of the user. */
  async revokeAll(user: string): Promise<CommandOutput<'session:revoke'>> {
    await this.#parts.revocations.revokeAll(
      user,
      'user',
      undefined,
      this.#here(user, () => true),
    );
    return {};
  }

  /**
   * Another token for the connection, unless it has been revoked. Until that is known, the connection
   * has the old token: a revocation of the session revokes that one.
   */
  async renew(connection: Connection, token: Identity): Promise<void> {
    const { user, session } = connection;
    const renewal = { session, token, revoked: false };
    this.#renewals.add(renewal);
    try {
      if ((await this.#parts.revocations.isRevoked(token)) || renewal.revoked) {
        throw new ParleyError('unauthorized', 'This token has been revoked.');
      }
    } finally {
      this.#renewals.delete(renewal);
    }
    const late = this.checkConnect(token);
    if (late !== undefined) await late;
    // the connection may have ended, or have another user by now
    if (connection.user !== user) return;
    connection.identity = token;
    connection.expires = token.expires;
  }

  /**
   * Called when the database has admitted the token; without a refusal there is no wait in between. From then on a
   * revocation finds the connection. A revocation that was applied meanwhile, after the database's answer, is found here.
   * @throws {ParleyError} `unauthorized`
   */
  checkConnect(token: Identity): Promise<void> | undefined {
    const recent = this.#recent.get(token.user)?.revocation;
    if (recent === undefined || recent.spared === token.key || !predates(recent, token)) return undefined;
    return this.#refuse(recent, token);
  }

  async #refuse(revocation: Revocation, token: Identity): Promise<never> {
    await this.#parts.revocations.complete(revocation, { tokens: [token], clock: null });
    throw new ParleyError('unauthorized', 'This token has been revoked.');
  }

  /** For tokens without a connection, such as those of streams. @returns the places of revoked tokens in the list */
  revokedAmong(tokens: readonly Identity[]): Promise<ReadonlySet<number>> {
    return this.#parts.revocations.revokedAmong(tokens);
  }

  viewerOf(connection: Connection): string | undefined {
    return connection.since === 0 ? undefined : connection.user?.id;
  }

  /** Written once for each form. Slow connections get it too: 1,000 users can cause 200 small events a second at most. */
  sendPresence(watchers: ReadonlySet<Connection>, user: string, presence: VisiblePresence): void {
    const data: EventData<'presence'> = { user, ...presence };
    const json = JSON.stringify(data);
    const frames: Partial<Record<Form, Frames>> = {};
    for (const connection of watchers) {
      connection.sendBehindAcks((frames[connection.form] ??= encodeEvent(connection.form, 'presence', json)));
    }
    this.#parts.metrics.presenceChanges.inc({ to: presence.online ? 'online' : 'offline' });
    this.#parts.metrics.presenceEvents.inc(watchers.size);
  }

  ended(connection: Connection, user: string): void {
    const data: EventData<'presence'> = { user, online: false, hidden: true };
    connection.sendBehindAcks(encodeEvent(connection.form, 'presence', JSON.stringify(data)));
    this.#parts.metrics.watchesEnded.inc();
  }

  sessionsOf(user: string): Session[] {
    return this.#of(user)
      .filter(({ since }) => since > 0)
      .map(({ session, device, agent, address, since }) => ({
        session,
        user,
        device,
        agent,
        address: address.address,
        node: this.#parts.node,
        since,
      }));
  }

  async revoked(revocation: Revocation): Promise<void> {
    const { id, user, reason, session } = revocation;
    if (revocation.issuedBefore !== null) return this.#allRevoked(revocation);
    for (const renewal of this.#renewals) {
      if (renewal.token.user === user && concerns(revocation, renewal.session, renewal.token)) renewal.revoked = true;
    }
    for (const connection of this.#of(user)) {
      const { identity } = connection;
      if (identity === undefined || !concerns(revocation, connection.session, identity)) continue;
      // other connections with the token are found when the revocation comes again with the token
      if (session !== null && revocation.token === null) await this.#parts.revocations.nameToken(id, identity);
      this.#revoke(connection, reason);
    }
  }

  /** Names the tokens that are known here, so that no node accepts them again, and ends their connections in any case. */
  async #allRevoked(revocation: Revocation): Promise<void> {
    const { user, reason } = revocation;
    const now = performance.now();
    for (const [of, { at }] of this.#recent) if (at < now - recentMs) this.#recent.delete(of);
    this.#recent.delete(user);
    this.#recent.set(user, { revocation, at: now });
    const ending = this.#of(user).filter(
      ({ identity, session }) =>
        identity?.admitted !== undefined &&
        (revocation.spared === identity.key ? revocation.sparedSession !== session : predates(revocation, identity)),
    );
    const here = this.#here(user, (token) => predates(revocation, token));
    try {
      await this.#parts.revocations.complete(revocation, here);
    } finally {
      for (const connection of ending) this.#revoke(connection, reason);
    }
  }

  /** The tokens of a user, those of live connections and others that are remembered. */
  #here(user: string, counts: (token: Identity) => boolean): KnownHere {
    const live = this.#of(user).flatMap(({ identity }) => identity ?? []);
    const all = new Set([...live, ...this.#parts.tokens.knownOf(user)]);
    return {
      tokens: [...all].filter((token) => token.admitted !== undefined && counts(token)),
      clock: issuerClock(all, this.#parts.tokens.leewayMs),
    };
  }

  #of(user: string): Connection[] {
    return this.#parts.connections.of(user);
  }

  #revoke(connection: Connection, reason: Revocation['reason']): void {
    if (!connection.live || connection.closedFor !== undefined) return;
    const data: EventData<'session:revoked'> = { session: connection.session, reason };
    if (connection.state === 'ready') {
      connection.sendFrames(encodeEvent(connection.form, 'session:revoked', JSON.stringify(data)));
    }
    connection.close('revoked', 'session_revoked');
    this.#parts.metrics.revocations.inc({ reason });
  }
}

/** Longer than a query to the database may take. */
const recentMs = 60_000;

/** Whether the token was admitted before the revocation of all tokens of its user. */
function predates(revocation: Revocation, { admitted }: Identity): boolean {
  return admitted === undefined || !admittedAfter(revocation, admitted);
}

/** Whether a revocation of one token, or of one session, covers this token in this session. */
function concerns(revocation: Revocation, session: string, token: Identity): boolean {
  return revocation.token === null ? revocation.session === session : revocation.token === token.key;
}
