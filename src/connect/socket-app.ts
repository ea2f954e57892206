/**
 * The seam between the wire and an application: Parley, or the small application of the conformance suites. `Sockets` reads
 * the packets of both transports in every form. A connection that breaks the protocol is closed, so the application sees
 * only well-formed packets of namespaces that the connection has joined.
 *
 * Order: the calls for one connection follow its packets. `connect` precedes the packets of its namespace, `disconnected`
 * ends them, and `ended` is the last call.
 *
 * Admission: each event and each ack passes `admit` exactly once, and nothing else weighs the server's load. Text passes
 * before its JSON is parsed. Msgpack and packets with attachments pass as soon as they are complete. An application without
 * `admission` admits every packet.
 *
 * Turns: every call returns within the turn of its packet, and answers later by the connection. The application sends the
 * answer of a packet that it refuses. An exception is logged by the engine; the packet is lost and the connection stays.
 */
import type { Connection } from '../hub/connection.ts';
import type { EventPacket, Packet } from '../transport/socketio/packet.ts';
import type { Header } from '../transport/socketio/text.ts';

export interface SocketApp {
  readonly namespaces: ReadonlySet<string>;
  readonly admission?: PacketAdmission;
  readonly events: { run(connection: Connection, event: EventPacket): void };
  /** CONNECT to one of the namespaces, which the connection has not joined. The application joins and answers. */
  connect(connection: Connection, namespace: string, payload: object | undefined): void;
  /** The client left the namespace, or its connection ended. */
  disconnected(connection: Connection, namespace: string): void;
  /** The connection ended, after it left its namespaces. */
  ended?(connection: Connection): void;
}

export interface PacketAdmission {
  /** A frame of so many bytes arrived: before `admit`, and before anything of it is read. */
  received(connection: Connection, bytes: number): void;
  /**
   * @param packet an event or an ack. Text has only its header, and the frame with JSON that nothing has parsed.
   * @returns false: the packet is dropped.
   */
  admit(connection: Connection, packet: Header | Packet): boolean;
  /** An event with this ack id is over the limit of frames. The connection is closed after this. */
  oversized(connection: Connection, ack: string): void;
  /** No client of good faith repeats this packet: an ack that the server does not await, CONNECT to an unknown namespace. */
  unexpected(connection: Connection, packet: 'ack' | 'connect'): void;
}
