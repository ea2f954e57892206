/**
 * Writes packets in the form of a client. JSON text is not parsed for clients of text, so that form is the fastest. Frames of
 * text have the form that text.ts reads. They include Engine.IO's `4`, so that a broadcast is one string.
 */
import { extract, restore } from './attachments.ts';
import { packArgs, packConnect, packConnectError, packDisconnect } from './msgpack.ts';
import type { Form, Frames } from './packet.ts';

/** An event of `/` with JSON text as its data, and the attachments that its placeholders name. */
export function encodeEvent(form: Form, name: string, json: string, attachments: readonly Uint8Array[] = []): Frames {
  if (form === 'json') return [eventText(name, json, attachments.length), ...attachments];
  return [packArgs('event', '/', '', [name, restore(json, attachments)])];
}

/** An ack of `/` with one argument as JSON text. */
export function encodeAck(form: Form, id: string, json: string): Frames {
  return form === 'json' ? [ackText(id, json)] : [packArgs('ack', '/', id, [JSON.parse(json)])];
}

/** Any event or ack of any namespace, with binary anywhere in its arguments. @throws {RangeError} over ten attachments. */
export function encodeArgs(
  form: Form,
  type: 'event' | 'ack',
  namespace: string,
  id: string,
  args: readonly unknown[],
): Frames {
  if (form === 'msgpack') return [packArgs(type, namespace, id, args)];
  const extracted = extract(args);
  if (extracted === undefined) throw new RangeError('more attachments than a packet may have');
  const json = JSON.stringify(extracted.value);
  return [argsText(type, namespace, id, json, extracted.attachments.length), ...extracted.attachments];
}

export function encodeConnect(form: Form, namespace: string, sid: string): Frames {
  return [form === 'json' ? connectText(namespace, sid) : packConnect(namespace, sid)];
}

export function encodeConnectError(form: Form, namespace: string, message: string, data?: object): Frames {
  return [form === 'json' ? connectErrorText(namespace, message, data) : packConnectError(namespace, message, data)];
}

export function encodeDisconnect(form: Form, namespace: string): Frames {
  return [form === 'json' ? disconnectText(namespace) : packDisconnect(namespace)];
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
