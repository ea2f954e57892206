/** Connections as sessions of their users: counted, watched, listed, and ended when their token is taken back. */
import type { Revocation } from '../auth/revocations.ts';
import type { Identity } from '../auth/tokens.ts';
import type { Envelope } from '../fanout/fanout.ts';
import type { PresenceHost, PresencePart } from '../presence/open.ts';
import type { Told } from '../presence/watching.ts';
import type { CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { Session } from '../protocol/model.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { encodeEvent } from './packets/encode.ts';
import type { Form, Frames } from './packets/packet.ts';

interface Renewal {
  readonly session: string;
  readonly token: Identity;
  revoked: boolean;
}

export class Attendance implements PresenceHost<Connection> {
  readonly #metrics: Metrics;
  readonly #node: string;
  #part: PresencePart<Connection> | undefined = undefined;
  /** Absent until the node serves: nobody is here then. */
  #connections: Connections | undefined = undefined;
  /** Tokens that the database is being asked about: a revocation after its answer was read finds them here. */
  readonly #renewals = new Set<Renewal>();

  constructor(parts: { metrics: Metrics; node: string }) {
    this.#metrics = parts.metrics;
    this.#node = parts.node;
  }

  serve(part: PresencePart<Connection>, connections: Connections): void {
    this.#part = part;
    this.#connections = connections;
  }

  ready(connection: Connection): void {
    const { user } = connection;
    if (user === undefined) return;
    connection.since = Date.now();
    this.#running().presence.arrived(user.id);
  }

  /** It left the namespace or ended; its user is still known. */
  gone(connection: Connection): void {
    const { user } = connection;
    if (user === undefined || connection.since === 0) return;
    connection.since = 0;
    const { watching, presence } = this.#running();
    watching.unwatch(connection);
    presence.left(user.id);
  }

  /** Fan-out's, after the connections had it. */
  received(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if (envelope.to === 'membership' && envelope.role === null) this.departed(envelope.user);
    }
  }

  /** The user left a room, here or on another node. */
  departed(user: string): void {
    this.#running().watching.departed(user);
  }

  async presenceOf(viewer: string, users: readonly string[]): Promise<CommandOutput<'presence:get'>> {
    // fromEntries: a user may be called __proto__
    return { presence: Object.fromEntries(await this.#running().watching.get(viewer, users)) };
  }

  async watch(connection: Connection, users: readonly string[]): Promise<CommandOutput<'presence:watch'>> {
    return { presence: Object.fromEntries(await this.#running().watching.watch(connection, users)) };
  }

  unwatch(connection: Connection, users: readonly string[] | undefined): CommandOutput<'presence:unwatch'> {
    this.#running().watching.unwatch(connection, users);
    return {};
  }

  async sessions(user: string): Promise<CommandOutput<'session:list'>> {
    const { sessions, complete } = await this.#running().nodes.sessionsOf(user);
    return { sessions, complete };
  }

  async revokeSession(user: string, session: string): Promise<CommandOutput<'session:revoke'>> {
    if (await this.#running().revocations.revokeSession(user, session, 'user')) return {};
    throw new ParleyError('not_found', 'You have no such session.');
  }

  /** All of the user's but this one. */
  async revokeOthers(connection: Connection): Promise<CommandOutput<'session:revoke'>> {
    const { identity: token, session } = connection;
    if (token !== undefined && (await this.#running().revocations.revokeAll(token.user, 'user', { token, session }))) {
      return {};
    }
    throw new ParleyError('unauthorized', 'The token of this connection has been revoked.');
  }

  /**
   * Another token for the connection, unless it has been revoked. Until that is known the connection is here with the one
   * before: that is what a revocation of the session takes back.
   */
  async renew(connection: Connection, token: Identity): Promise<void> {
    const { user, session } = connection;
    const renewal = { session, token, revoked: false };
    this.#renewals.add(renewal);
    try {
      if ((await this.#running().revocations.isRevoked(token)) || renewal.revoked) {
        throw new ParleyError('unauthorized', 'This token has been revoked.');
      }
    } finally {
      this.#renewals.delete(renewal);
    }
    // it may have left, or be somebody else by now
    if (connection.user !== user) return;
    connection.identity = token;
    connection.expires = token.expires;
  }

  viewerOf(connection: Connection): string | undefined {
    return connection.since === 0 ? undefined : connection.user?.id;
  }

  /** Written once for each form. Slow connections get it too: 1,000 users can cause 200 small events a second at most. */
  tell(watchers: ReadonlySet<Connection>, user: string, told: Told): void {
    const data: EventData<'presence'> = { user, ...told };
    const json = JSON.stringify(data);
    const frames: Partial<Record<Form, Frames>> = {};
    for (const connection of watchers) {
      connection.sendBehindAcks((frames[connection.form] ??= encodeEvent(connection.form, 'presence', json)));
    }
    this.#metrics.presenceChanges.inc({ to: told.online ? 'online' : 'offline' });
    this.#metrics.presenceEvents.inc(watchers.size);
  }

  ended(connection: Connection, user: string): void {
    const data: EventData<'presence'> = { user, online: false, hidden: true };
    connection.sendBehindAcks(encodeEvent(connection.form, 'presence', JSON.stringify(data)));
    this.#metrics.watchesEnded.inc();
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
        node: this.#node,
        since,
      }));
  }

  async revoked(revocation: Revocation): Promise<void> {
    const { id, user, reason, session } = revocation;
    for (const renewal of this.#renewals) {
      if (renewal.token.user === user && concerns(revocation, renewal.session, renewal.token)) renewal.revoked = true;
    }
    for (const connection of this.#of(user)) {
      const { identity } = connection;
      if (identity === undefined || !concerns(revocation, connection.session, identity)) continue;
      // others that share the token are found when it comes again with the token
      if (session !== null && revocation.token === null) await this.#running().revocations.claim(id, identity);
      this.#revoke(connection, reason);
    }
  }

  #of(user: string): Connection[] {
    return this.#connections?.of(user) ?? [];
  }

  #revoke(connection: Connection, reason: Revocation['reason']): void {
    if (!connection.live || connection.closedFor !== undefined) return;
    const data: EventData<'session:revoked'> = { session: connection.session, reason };
    if (connection.state === 'ready') {
      connection.sendFrames(encodeEvent(connection.form, 'session:revoked', JSON.stringify(data)));
    }
    connection.close('revoked', 'session_revoked');
    this.#metrics.revocations.inc({ reason });
  }

  #running(): PresencePart<Connection> {
    if (this.#part === undefined) throw new Error('presence is not open yet');
    return this.#part;
  }
}

function concerns(revocation: Revocation, session: string, token: Identity): boolean {
  if (revocation.issuedBefore !== null) {
    if (revocation.spared === token.key) return revocation.sparedSession !== session;
    return token.issuedAt < revocation.issuedBefore;
  }
  return revocation.token === null ? revocation.session === session : revocation.token === token.key;
}
