/**
 * Packets as text, by hand: `4` + type + [attachments `-`] + [namespace `,`] + [ack id] + JSON. Frames are written
 * whole, Engine.IO's `4` included, so that a broadcast is one string.
 */
import { isEventArgs, maxAckDigits, maxAttachments, type Incomplete, type Packet } from './packet.ts';

const [connect, disconnect, event, ack, binaryEvent, binaryAck] = ['0', '1', '2', '3', '5', '6'];
/** Begins an event without attachments. */
export const textEvent = event;

/** @param text the frame without Engine.IO's `4`. @returns undefined for what is no valid packet. */
export function decodeText(text: string): Packet | Incomplete | undefined {
  const type = text.charAt(0);
  let at = 1;
  let attachments = 0;
  if (type === binaryEvent || type === binaryAck) {
    const dash = text.indexOf('-', 1);
    const digits = text.slice(1, dash === -1 ? 1 : dash);
    attachments = /^\d{1,2}$/.test(digits) ? Number(digits) : -1;
    if (attachments < 0 || attachments > maxAttachments) return undefined;
    at = dash + 1;
  }
  let namespace = '/';
  if (text[at] === '/') {
    const comma = text.indexOf(',', at);
    const end = comma === -1 ? text.length : comma;
    namespace = text.slice(at, end);
    at = Math.min(end + 1, text.length);
  }
  if (type === connect) return decodeConnect(namespace, text.slice(at));
  if (type === disconnect) return at === text.length ? { type: 'disconnect', namespace } : undefined;
  const packet = decodeArgs(type, namespace, text, at);
  return packet !== undefined && attachments > 0 ? { packet, attachments } : packet;
}

function decodeConnect(namespace: string, json: string): Packet | undefined {
  if (json === '') return { type: 'connect', namespace, payload: undefined };
  const payload = parse(json);
  return typeof payload === 'object' && payload !== null && !Array.isArray(payload)
    ? { type: 'connect', namespace, payload }
    : undefined;
}

function decodeArgs(type: string, namespace: string, text: string, from: number): Incomplete['packet'] | undefined {
  const isEvent = type === event || type === binaryEvent;
  if (!isEvent && type !== ack && type !== binaryAck) return undefined;
  let at = from;
  while (at < text.length && isDigit(text.charCodeAt(at))) at++;
  if (at - from > maxAckDigits) return undefined;
  const id = text.slice(from, at);
  const args = parse(text.slice(at));
  if (!Array.isArray(args)) return undefined;
  if (!isEvent) return id === '' ? undefined : { type: 'ack', namespace, ack: id, args };
  return isEventArgs(args) ? { type: 'event', namespace, ack: id, args } : undefined;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** `/` is not written; another namespace is followed by a comma. */
function prefix(namespace: string): string {
  return namespace === '/' ? '' : `${namespace},`;
}

/** @param json the text of the event's one argument. */
export function eventText(name: string, json: string, attachments = 0): string {
  return attachments === 0 ? `42["${name}",${json}]` : `45${attachments}-["${name}",${json}]`;
}

export function argsText(
  type: 'event' | 'ack',
  namespace: string,
  id: string,
  json: string,
  attachments: number,
): string {
  const plain = type === 'event' ? '42' : '43';
  const binary = type === 'event' ? '45' : '46';
  return `${attachments === 0 ? plain : `${binary}${attachments}-`}${prefix(namespace)}${id}${json}`;
}

/** @param json the text of a JSON object. */
export function ackText(id: string, json: string): string {
  return `43${id}[${json}]`;
}

export function connectText(namespace: string, sid: string): string {
  return `40${prefix(namespace)}{"sid":"${sid}"}`;
}

export function connectErrorText(namespace: string, message: string, data?: object): string {
  return `44${prefix(namespace)}${JSON.stringify(data === undefined ? { message } : { message, data })}`;
}

export function disconnectText(namespace: string): string {
  return `41${namespace === '/' ? '' : namespace}`;
}
