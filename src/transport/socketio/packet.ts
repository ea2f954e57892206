/** Socket.IO v5 packets as the gateway handles them, whatever their form on the wire. */
import type { Frame } from '../engineio/packet.ts';

export type Packet =
  | { readonly type: 'connect'; readonly namespace: string; readonly payload: object | undefined }
  | { readonly type: 'disconnect'; readonly namespace: string }
  | { readonly type: 'event'; readonly namespace: string; readonly ack: string; readonly args: EventArgs }
  | { readonly type: 'ack'; readonly namespace: string; readonly ack: string; readonly args: readonly unknown[] };

/** The name, then the arguments. Binary ones are Buffers. */
export type EventArgs = readonly [string, ...unknown[]];

/** Names that stock clients and servers keep for themselves; a stock server closes over them too. */
const reserved = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']);

export function isEventArgs(args: unknown): args is [string, ...unknown[]] {
  return Array.isArray(args) && typeof args[0] === 'string' && !reserved.has(args[0]);
}

/** A packet whose attachments are still to come. */
export interface Incomplete {
  readonly packet: Packet & { type: 'event' | 'ack' };
  readonly attachments: number;
}

/** How a client's packets are written. It is told in the handshake's query: `parser=msgpack`, else JSON. */
export type Form = 'json' | 'msgpack';

/** Digits of an ack id. In text it is echoed as it came, so that none is altered; more digits than 2^63 has are no id. */
export const maxAckDigits = 19;

/** Attachments of one packet; stock parsers take as many. */
export const maxAttachments = 10;

/** What one packet becomes: one frame, or text and then its attachments. */
export type Frames = readonly Frame[];
