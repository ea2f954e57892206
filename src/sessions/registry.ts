/** Sessions and presence of users, as the commands and the connections of this node need them. */
import type { Envelope } from '../fanout/fanout.ts';
import type { Connection } from '../hub/connection.ts';
import type { ActivityState } from '../presence/activity.ts';
import type { Nodes } from '../presence/nodes.ts';
import type { PresencePart } from '../presence/open.ts';
import type { Watching } from '../presence/watching.ts';
import type { CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { FairTurns } from '../rates/fair-turns.ts';
import type { Metrics } from '../telemetry/metrics.ts';

const waits = { waiting: 20_000, waitingPerUser: 800, waitMs: 10_000 };
/** Reads of presence: one query takes 50, and no user has more than a few of them in it. */
const presenceReads = { place: 'presence', places: 50, placesPerUser: 8, ...waits } as const;
/** Lists of sessions: each may wait a second for a silent node, and a node keeps 1,000 of them at most. */
const sessionLists = { place: 'sessions', places: 500, placesPerUser: 4, ...waits } as const;

export class SessionRegistry {
  readonly #part: PresencePart<Connection>;
  readonly #presenceReads: FairTurns;
  readonly #sessionLists: FairTurns;

  constructor(part: PresencePart<Connection>, metrics: Metrics) {
    this.#part = part;
    this.#presenceReads = new FairTurns({ ...presenceReads, metrics });
    this.#sessionLists = new FairTurns({ ...sessionLists, metrics });
  }

  ready(connection: Connection): void {
    const { user } = connection;
    if (user === undefined) return;
    connection.since = Date.now();
    this.#part.presence.arrived(user.id);
  }

  /** The connection left the namespace or ended; its user is still known. */
  gone(connection: Connection): void {
    const { user } = connection;
    if (user === undefined || connection.since === 0) return;
    connection.since = 0;
    const { watching, presence, activity } = this.#part;
    watching.unwatch(connection);
    activity.gone(user.id, connection.session);
    presence.left(user.id);
  }

  /** Envelopes of fan-out, after the connections got them. */
  received(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if (envelope.to === 'membership' && envelope.role === null) this.departed(envelope.user);
    }
  }

  /** The user left a room, here or on another node. */
  departed(user: string): void {
    this.#part.watching.departed(user);
  }

  async presenceOf(viewer: string, users: readonly string[]): Promise<CommandOutput<'presence:get'>> {
    // fromEntries: a user may be called __proto__
    const found = await this.#presenceReads.take(viewer, () => this.#part.watching.get(viewer, users));
    return { presence: Object.fromEntries(found) };
  }

  async watch(connection: Connection, users: readonly string[]): Promise<CommandOutput<'presence:watch'>> {
    const begin = (): ReturnType<Watching<Connection>['watch']> => this.#part.watching.watch(connection, users);
    const viewer = connection.user?.id;
    return {
      presence: Object.fromEntries(await (viewer === undefined ? begin() : this.#presenceReads.take(viewer, begin))),
    };
  }

  unwatch(connection: Connection, users: readonly string[] | undefined): CommandOutput<'presence:unwatch'> {
    this.#part.watching.unwatch(connection, users);
    return {};
  }

  /** The client says whether its connection is active. */
  state(connection: Connection, state: ActivityState, room: string | undefined): CommandOutput<'presence:state'> {
    const { user } = connection;
    if (user !== undefined && connection.since !== 0) this.#part.activity.set(user.id, connection.session, state, room);
    return {};
  }

  async sessions(user: string): Promise<CommandOutput<'session:list'>> {
    const read = (): ReturnType<Nodes['sessionsOf']> => this.#part.nodes.sessionsOf(user);
    const { sessions, complete } = await this.#sessionLists.take(user, read);
    return { sessions, complete };
  }

  async revokeSession(user: string, session: string): Promise<CommandOutput<'session:revoke'>> {
    if (await this.#part.revocations.revokeSession(user, session, 'user')) return {};
    throw new ParleyError('not_found', 'You have no such session.');
  }
}
