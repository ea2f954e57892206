/**
 * Reads packets of text: Engine.IO's `4` + type + [attachments `-`] + [namespace `,`] + [ack id] + JSON.
 *
 * A frame is read in one pass with two stops. `peekHeader` reads the bytes before the JSON. `decodeText` continues behind
 * them, and reads nothing twice. Between the two the application may drop the packet. Most packets are dropped there while
 * the server is overloaded, and a header costs a small part of a command's parsing and checks.
 */
import { isEventArgs, maxAckDigits, maxAttachments, type Incomplete, type Packet } from './packet.ts';

/** By the digit of the type. The types from `firstBinary` on announce attachments. */
const types: readonly (Packet['type'] | undefined)[] = [
  'connect',
  'disconnect',
  'event',
  'ack',
  undefined,
  'event',
  'ack',
];
const firstBinary = 5;

/** All of a text packet but its JSON. */
export class Header {
  readonly frame: Buffer;
  readonly type: Packet['type'];
  readonly attachments: number;
  readonly namespace: string;
  /** Where the ack id begins in the frame, and where the JSON begins, right behind the id. */
  readonly ackAt: number;
  readonly at: number;
  /** False: the ack id is too long, or no array follows. `decodeText` refuses the packet. */
  readonly valid: boolean;

  constructor(
    frame: Buffer,
    type: Packet['type'],
    attachments: number,
    namespace: string,
    ackAt: number,
    at: number,
    valid: boolean,
  ) {
    this.frame = frame;
    this.type = type;
    this.attachments = attachments;
    this.namespace = namespace;
    this.ackAt = ackAt;
    this.at = at;
    this.valid = valid;
  }

  /** The digits as the client wrote them; '': no ack is wanted. Undefined: `decodeText` refuses the packet. */
  get ack(): string | undefined {
    if (!this.valid) return undefined;
    let ack = '';
    for (let at = this.ackAt; at < this.at; at++) ack += String.fromCharCode(this.frame[at] as number);
    return ack;
  }
}

/**
 * Never throws.
 * @param frame the whole frame, or at least its first bytes up to the JSON.
 * @returns undefined if `decodeText` would refuse the packet for its type or its attachments.
 */
export function peekHeader(frame: Buffer): Header | undefined {
  const digit = (frame[1] ?? NaN) - 0x30;
  const type = types[digit];
  if (type === undefined) return undefined;
  let at = 2;
  let byte = frame[at];
  let attachments = 0;
  if (digit >= firstBinary) {
    for (; isDigit(byte) && at < 4; byte = frame[++at]) attachments = attachments * 10 + byte - 0x30;
    if (at === 2 || byte !== 0x2d || attachments > maxAttachments) return undefined;
    byte = frame[++at];
  }
  let namespace = '/';
  if (byte === 0x2f) {
    const comma = frame.indexOf(0x2c, at);
    const end = comma === -1 ? frame.length : comma;
    namespace = frame.toString('utf8', at, end);
    at = Math.min(end + 1, frame.length);
    byte = frame[at];
  }
  const ackAt = at;
  if (type === 'connect' || type === 'disconnect') return new Header(frame, type, attachments, namespace, at, at, true);
  const last = at + maxAckDigits;
  while (isDigit(byte) && at <= last) byte = frame[++at];
  return new Header(frame, type, attachments, namespace, ackAt, at, at <= last && beginsArray(byte));
}

/** @param header of a whole frame. @returns undefined for an invalid packet. Never throws. */
export function decodeText(header: Header): Packet | Incomplete | undefined {
  const { frame, type, attachments, namespace, ackAt, at, valid } = header;
  if (type === 'disconnect') return at === frame.length ? { type, namespace } : undefined;
  // of `/` the header is ASCII, so offsets of bytes are offsets of text; `toString` without arguments is faster
  const isAscii = namespace === '/';
  const text = isAscii ? frame.toString() : frame.toString('utf8', ackAt);
  const from = isAscii ? ackAt : 0;
  if (type === 'connect') return decodeConnect(namespace, text.slice(from));
  if (!valid) return undefined;
  const to = from + at - ackAt;
  const args = parse(text.slice(to));
  if (!Array.isArray(args)) return undefined;
  const ack = text.slice(from, to);
  let packet: Incomplete['packet'];
  if (type === 'event') {
    if (!isEventArgs(args)) return undefined;
    packet = { type, namespace, ack, args };
  } else {
    if (ack === '') return undefined;
    packet = { type, namespace, ack, args };
  }
  return attachments > 0 ? { packet, attachments } : packet;
}

function decodeConnect(namespace: string, json: string): Packet | undefined {
  if (json === '') return { type: 'connect', namespace, payload: undefined };
  const payload = parse(json);
  return typeof payload === 'object' && payload !== null && !Array.isArray(payload)
    ? { type: 'connect', namespace, payload }
    : undefined;
}

function isDigit(byte: number | undefined): byte is number {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** `[`, or white space before it, which JSON allows. */
function beginsArray(byte: number | undefined): boolean {
  return byte === 0x5b || byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
