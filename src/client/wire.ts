/**
 * The part of Engine.IO v4 and Socket.IO v5 that a text-only client of the root namespace needs. The first digit is the
 * engine's packet (0 open, 1 close, 2 ping, 3 pong, 4 message). A second digit in a message is the socket's packet
 * (0 connect, 1 disconnect, 2 event, 3 ack, 4 refused). An ack id and JSON follow.
 */
import type { WireError } from '../protocol/errors.ts';

export type Packet =
  | { kind: 'open'; pingInterval: number; pingTimeout: number; maxPayload: number }
  | { kind: 'ping' }
  | { kind: 'close' }
  | { kind: 'connected' }
  | { kind: 'refused'; message: string; error: Partial<WireError> }
  | { kind: 'event'; name: string; data: unknown }
  | { kind: 'ack'; id: number; answer: unknown }
  /** A packet of a newer protocol, or noise. The client skips it: a catch-up by rev brings its content. */
  | { kind: 'unknown' };

const unknown: Packet = { kind: 'unknown' };

export function decode(frame: string): Packet {
  switch (frame.charAt(0)) {
    case '0':
      return decodeOpen(frame.slice(1));
    case '1':
      return { kind: 'close' };
    case '2':
      return { kind: 'ping' };
    case '4':
      return decodeMessage(frame);
    default:
      return unknown;
  }
}

function decodeOpen(json: string): Packet {
  const open = parse(json);
  if (!isObject(open)) return unknown;
  const number = (key: string, otherwise: number) => (typeof open[key] === 'number' ? open[key] : otherwise);
  return {
    kind: 'open',
    pingInterval: number('pingInterval', 25_000),
    pingTimeout: number('pingTimeout', 20_000),
    maxPayload: number('maxPayload', 1_000_000),
  };
}

function decodeMessage(frame: string): Packet {
  switch (frame.charAt(1)) {
    case '0':
      return { kind: 'connected' };
    case '1':
      return { kind: 'close' };
    case '2':
      return decodeEvent(frame);
    case '3':
      return decodeAck(frame);
    case '4':
      return decodeRefusal(frame.slice(2));
    default:
      return unknown;
  }
}

function decodeEvent(frame: string): Packet {
  const list = parse(frame.slice(frame.indexOf('[')));
  if (!Array.isArray(list) || typeof list[0] !== 'string') return unknown;
  return { kind: 'event', name: list[0], data: list[1] as unknown };
}

function decodeAck(frame: string): Packet {
  const start = frame.indexOf('[');
  const list = parse(frame.slice(start));
  const id = Number(frame.slice(2, start));
  if (start < 3 || !Number.isSafeInteger(id) || !Array.isArray(list)) return unknown;
  return { kind: 'ack', id, answer: list[0] as unknown };
}

function decodeRefusal(json: string): Packet {
  const refusal = parse(json);
  const { message, data } = isObject(refusal) ? refusal : {};
  return {
    kind: 'refused',
    message: typeof message === 'string' ? message : 'The server refused the connection.',
    error: isObject(data) ? (data as Partial<WireError>) : {},
  };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The length as UTF-8, which the server counts. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

export const pong = '3';
export const disconnect = '41';

/** The content of CONNECT. */
export interface Greeting {
  readonly token: string;
  readonly device: string | undefined;
}

export function encodeConnect({ token, device }: Greeting): string {
  return `40${JSON.stringify({ token, device })}`;
}

export function encodeCommand(id: number, name: string, input: unknown): string {
  return `42${id}${JSON.stringify([name, input])}`;
}
