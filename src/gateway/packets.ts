/**
 * Socket.IO v5 text packets inside Engine.IO messages, by hand: `4` + type + [namespace `,`] + [ack id] + JSON. Frames
 * are written whole, Engine.IO's `4` included, so that a broadcast is one string.
 */
export type Packet =
  | { readonly type: 'connect'; readonly namespace: string; readonly payload: unknown }
  | { readonly type: 'disconnect'; readonly namespace: string }
  | {
      readonly type: 'event';
      readonly namespace: string;
      readonly ack: string;
      readonly args: readonly [string, ...unknown[]];
    }
  | { readonly type: 'ack'; readonly namespace: string };

/** Digits of an ack id. It is echoed as text, so that no id is altered; more digits than 2^63 has are no id. */
const maxAckDigits = 19;

/** @param text the frame without Engine.IO's `4`. @returns undefined for what is no valid packet. */
export function decodePacket(text: string): Packet | undefined {
  let at = 1;
  let namespace = '/';
  if (text[1] === '/') {
    const comma = text.indexOf(',', 1);
    namespace = comma === -1 ? text.slice(1) : text.slice(1, comma);
    at = comma === -1 ? text.length : comma + 1;
  }
  switch (text.charAt(0)) {
    case '0':
      return decodeConnect(namespace, text.slice(at));
    case '1':
      return at === text.length ? { type: 'disconnect', namespace } : undefined;
    case '2':
      return decodeEvent(namespace, text, at);
    case '3':
      return { type: 'ack', namespace };
    default:
      return undefined;
  }
}

function decodeConnect(namespace: string, json: string): Packet | undefined {
  if (json === '') return { type: 'connect', namespace, payload: undefined };
  const payload = parse(json);
  return typeof payload === 'object' && payload !== null && !Array.isArray(payload)
    ? { type: 'connect', namespace, payload }
    : undefined;
}

function decodeEvent(namespace: string, text: string, from: number): Packet | undefined {
  let at = from;
  while (at < text.length && isDigit(text.charCodeAt(at))) at++;
  if (at - from > maxAckDigits) return undefined;
  const args = parse(text.slice(at));
  if (!Array.isArray(args) || typeof args[0] !== 'string') return undefined;
  return { type: 'event', namespace, ack: text.slice(from, at), args: args as [string, ...unknown[]] };
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

export function eventFrame(event: string, json: string): string {
  return `42["${event}",${json}]`;
}

/** @param json the text of a JSON object. */
export function okFrame(ack: string, json: string): string {
  return json === '{}' ? `43${ack}[{"ok":true}]` : `43${ack}[{"ok":true,${json.slice(1)}]`;
}

export function errorFrame(ack: string, error: object): string {
  return `43${ack}[{"ok":false,"error":${JSON.stringify(error)}}]`;
}

export function connectFrame(session: string): string {
  return `40{"sid":"${session}"}`;
}

export function connectErrorFrame(namespace: string, message: string, data?: object): string {
  const prefix = namespace === '/' ? '44' : `44${namespace},`;
  return prefix + JSON.stringify(data === undefined ? { message } : { message, data });
}
