import type { Connection } from '../../hub/connection.ts';
import type { TopicAudience } from './audience.ts';
import type { EventPacket } from './messages.ts';
import { Outbound } from './outbound.ts';
import { RemoteSocket, topicRecipient, type Recipient, type RemoteSocketParts } from './remote-socket.ts';

/** Stands in for Socket.IO's Namespace in the adapter. */
export class Host {
  readonly name = '/';
  readonly server = { encoder: { encode: (packet: EventPacket): readonly [Outbound] => [new Outbound(packet)] } };
  readonly sockets: { get(sid: string): RemoteSocket | undefined };
  readonly #parts: RemoteSocketParts;

  constructor(parts: RemoteSocketParts) {
    this.#parts = parts;
    this.sockets = {
      get: (sid) => {
        const connection = parts.connections.session(sid);
        return connection === undefined ? undefined : this.socket(connection);
      },
    };
  }

  /** The adapter takes `_ids++` as the id of an event that wants acks. `PendingAcks` has chosen the id before. */
  get _ids(): number {
    return this.#parts.pendingAcks.id;
  }

  set _ids(_next: number) {}

  _onServerSideEmit(): void {}

  socket(connection: Connection): RemoteSocket {
    return new RemoteSocket(connection, this.#parts);
  }

  topic(audience: TopicAudience): Recipient {
    return topicRecipient(this.#parts.broadcaster, audience);
  }
}
