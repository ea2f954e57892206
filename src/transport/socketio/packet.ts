/** Socket.IO v5 packets, independent of their form on the wire. */
import type { Frame } from '../engineio/packet.ts';

export type Packet =
  | { readonly type: 'connect'; readonly namespace: string; readonly payload: object | undefined }
  | { readonly type: 'disconnect'; readonly namespace: string }
  | { readonly type: 'event'; readonly namespace: string; readonly ack: string; readonly args: EventArgs }
  | { readonly type: 'ack'; readonly namespace: string; readonly ack: string; readonly args: readonly unknown[] };

export type EventPacket = Packet & { readonly type: 'event' };

/** The name of the event, then the arguments. Binary arguments are Buffers. */
export type EventArgs = readonly [string, ...unknown[]];

/** Names that stock clients and servers reserve. A stock server closes the connection over them too. */
const reserved = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']);

export function isEventArgs(args: unknown): args is [string, ...unknown[]] {
  return Array.isArray(args) && typeof args[0] === 'string' && !reserved.has(args[0]);
}

/** A packet that awaits its attachments. */
export interface Incomplete {
  readonly packet: Packet & { type: 'event' | 'ack' };
  readonly attachments: number;
}

/** The form of a client's packets, from the query of its handshake: `parser=msgpack`, else JSON. */
export type Form = 'json' | 'msgpack';

/** Digits of an ack id, as many as 2^63 has. Text acks repeat the digits as they arrived, so that none is altered. */
export const maxAckDigits = 19;

/** Attachments of one packet, as many as stock parsers accept. */
export const maxAttachments = 10;

/** The frames of one packet: one frame, or text and then its attachments. */
export type Frames = readonly Frame[];
