/** From CONNECT to `ready`: verifies the token, subscribes the connection to its rooms, and sends the snapshot. */
import type { UserRates } from '../rates/user-rates.ts';
import type { Identity, TokenVerifier } from '../sessions/tokens.ts';
import type { ConnectLoad } from './connect-load.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { cleanDisplayText } from '../protocol/display-text.ts';
import type { EventData } from '../protocol/events.ts';
import type { LocalSessions } from '../sessions/local-sessions.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { encodeConnect, encodeEvent } from '../transport/socketio/encode.ts';

export class Connector {
  readonly #verifier: TokenVerifier;
  readonly #rates: UserRates;
  readonly #connectLoad: ConnectLoad;
  readonly #hub: Hub;
  readonly #sessions: Pick<LocalSessions, 'checkConnect'>;
  readonly #registry: SessionRegistry;
  readonly #node: string;
  readonly #epochs: { readonly epoch: string };
  readonly #maxPerUser: number;

  constructor(options: {
    verifier: TokenVerifier;
    rates: UserRates;
    connectLoad: ConnectLoad;
    hub: Hub;
    sessions: Pick<LocalSessions, 'checkConnect'>;
    registry: SessionRegistry;
    node: string;
    epochs: { readonly epoch: string };
    maxConnectionsPerUser: number;
  }) {
    this.#verifier = options.verifier;
    this.#rates = options.rates;
    this.#connectLoad = options.connectLoad;
    this.#hub = options.hub;
    this.#sessions = options.sessions;
    this.#registry = options.registry;
    this.#node = options.node;
    this.#epochs = options.epochs;
    this.#maxPerUser = options.maxConnectionsPerUser;
  }

  /** @throws the error for CONNECT_ERROR, which leaves the connection `open` unless it was `ready` already. */
  async connect(connection: Connection, payload: unknown): Promise<void> {
    const token = (payload as { token?: unknown } | undefined)?.token ?? connection.handshakeToken;
    if (typeof token !== 'string' || token === '') {
      throw new ParleyError('unauthorized', 'A token is needed: connect with auth {"token": "..."}.');
    }
    const device = (payload as { device?: unknown } | undefined)?.device;
    connection.device =
      typeof device === 'string' ? (cleanDisplayText(device, limits.deviceNameLength)?.text ?? null) : null;
    connection.state = 'authenticating';
    try {
      const identity = await this.#verifier.verify(token);
      await this.#rates.connects.spend(identity.user);
      if (!connection.live) return;
      await this.#join(connection, identity);
    } catch (error) {
      this.#hub.subscriptions.leave(connection);
      this.#hub.connections.anonymize(connection);
      if (connection.live) connection.state = 'open';
      throw error;
    }
    if (connection.live) await this.greet(connection);
  }

  /** Subscribes before the snapshot is read: each commit in between comes as an event, or is in the heads of `ready`. */
  async #join(connection: Connection, identity: Identity): Promise<void> {
    connection.state = 'joining';
    connection.expires = identity.expires;
    connection.identity = identity;
    const { connections, subscriptions } = this.#hub;
    if (connections.ofUser(identity.user) >= this.#maxPerUser) {
      throw new ParleyError('limit_reached', 'You have reached the limit of connections.');
    }
    const user = connections.identify(connection, identity.user, identity.name);
    subscriptions.joining(connection, user.id);
    const { name, rooms } = await this.#connectLoad.memberships(identity);
    const refused = this.#sessions.checkConnect(identity);
    if (refused !== undefined) await refused;
    if (!connection.live) return;
    user.name = name;
    subscriptions.enter(connection, rooms);
    connection.state = 'ready';
    // the token stays until here: after an error the client may send CONNECT again without a token
    connection.handshakeToken = undefined;
    this.#registry.ready(connection);
    connection.sendFrames(encodeConnect(connection.form, '/', connection.session));
  }

  /** Sends the snapshot `ready` after CONNECT, and again when the database went back in time. */
  async greet(connection: Connection): Promise<void> {
    const user = connection.user as LocalUser;
    // the epoch is read before the rooms: rooms of a later epoch are sent again, with that epoch
    const { epoch } = this.#epochs;
    await this.#hub.interest.reached(connection);
    const { rooms, more } = await this.#connectLoad.summaries(user.id);
    // the connection may have ended, or have another user
    if (connection.user !== user) return;
    const ready: EventData<'ready'> = {
      user: { id: user.id, name: user.name },
      session: connection.session,
      node: this.#node,
      epoch,
      expires: connection.expires,
      rooms,
      more,
    };
    connection.sendFrames(encodeEvent(connection.form, 'ready', JSON.stringify(ready)));
    this.#hub.receiver.noteHeads(connection, rooms);
  }
}
