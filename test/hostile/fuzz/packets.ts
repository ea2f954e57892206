/** Socket.IO packets as text: some that must be answered, and mutations of them, at which the server may close. */
import { frameOf } from '../../support/ws-frame.ts';
import { command, connectPayload, value } from './json.ts';
import type { Random } from './random.ts';

export interface Survivor {
  readonly bytes: Buffer;
  /** The ack id that must come back, exactly once. */
  readonly ack: string;
}

const text = (content: string) => frameOf(0x81, Buffer.from(content));
const binary = (content: Buffer) => frameOf(0x82, content);

/** Digits that no other packet of the connection has: `n` is its number. */
function ackId(r: Random, n: number): string {
  return `${'0'.repeat(r.int(4))}${r.chance(0.1) ? '99999999999' : '7'}${String(n).padStart(4, '0')}`;
}

/** An event that is well-formed, so that exactly one ack must come. */
export function survivor(r: Random, n: number): Survivor {
  const ack = ackId(r, n);
  if (r.chance(0.9)) return { ack, bytes: text(`42${r.chance(0.05) ? '/,' : ''}${ack}${command(r)}`) };
  const count = r.int(11);
  const parts = Array.from({ length: count }, (_, num) => `{"_placeholder":true,"num":${num}}`);
  const body = `{"room":"pit","name":"n","data":[${[...parts, value(r)].join()}]}`;
  // a value of its own might look like a placeholder, or be nested deeper than packets with attachments may be
  const args = /_placeholder":(?!true,"num":\d[,}])|[[{]{12}|(\{"a":){12}/.test(body)
    ? `["signal",[${parts.join()}]]`
    : `["signal",${body}]`;
  const frames = Array.from({ length: count }, () => binary(r.bytes(r.int(40))));
  return { ack, bytes: Buffer.concat([text(`45${count}-${ack}${args}`), ...frames]) };
}

/** A packet before CONNECT that is answered with exactly one CONNECT_ERROR. */
export function refusedConnect(r: Random): Buffer {
  if (r.chance(0.5)) return text(`40${connectPayload(r)}`);
  const namespace = r.pick(['/admin', '/custom', '/__proto__', '//', '/😀', `/${'n'.repeat(r.int(3000))}`, '/a?b=c']);
  return text(`40${namespace},${r.chance(0.5) ? connectPayload(r) : ''}`);
}

const tokens = [
  '4',
  '0',
  '1',
  '2',
  '3',
  '5',
  '6',
  '9',
  '-',
  ',',
  '/',
  '[',
  ']',
  '{',
  '}',
  '"',
  '\\',
  ':',
  'b',
  '\x1e',
  '\0',
  '45',
  '46',
  '451-',
  '4510-',
  '4511-',
  '45999-',
  '99999999999999999999',
  '/admin,',
  '_placeholder',
  '\ud800',
  '"__proto__":',
  'null',
  'probe',
  '\u2028',
  '1e999',
  '{"_placeholder":true,"num":',
  '-1',
  '"connect"',
  '\n',
];

function mutated(r: Random, from: string): string {
  let packet = from;
  for (let times = 1 + r.int(3); times > 0; times--) {
    const at = r.int(packet.length + 1);
    const to = Math.min(packet.length, at + r.int(12));
    switch (r.int(6)) {
      case 0:
        packet = packet.slice(0, at);
        break;
      case 1:
        packet = packet.slice(0, at) + packet.slice(to);
        break;
      case 2:
        packet = packet.slice(0, to) + packet.slice(at);
        break;
      case 3:
        packet = r.pick(tokens) + packet.slice(r.int(4));
        break;
      case 4:
        packet += packet;
        break;
      default:
        packet = packet.slice(0, at) + r.pick(tokens) + packet.slice(r.chance(0.5) ? at : to);
    }
  }
  return packet;
}

/** One that may be anything: the server answers, waits for attachments, or closes. */
export function mutant(r: Random): Buffer {
  const ack = r.pick(['', '1', '007', '9'.repeat(19), '9'.repeat(20)]);
  switch (r.int(12)) {
    case 0: // attachments: missing, too many, not announced, announced and text instead
      return Buffer.concat([
        text(`4${r.pick(['5', '6'])}${r.int(13)}-${ack}["signal",${value(r)}]`),
        ...Array.from({ length: r.int(13) }, () => binary(r.bytes(r.int(9)))),
      ]);
    case 1: {
      const num = r.pick(['1', '-1', '"0"', '0.5', '1e9', 'null', '"__proto__"', '{"_placeholder":true}']);
      return Buffer.concat([
        text(`451-${ack}["signal",{"_placeholder":true,"num":${num}}]`),
        binary(r.bytes(r.int(9))),
      ]);
    }
    case 2:
      return binary(r.bytes(r.int(200)));
    case 3:
      return text(r.bytes(r.int(60)).toString('latin1'));
    case 4:
      return text(`40${r.chance(0.5) ? '' : '/admin,'}${value(r)}`);
    case 5:
      return text(`43${ack}${value(r)}`);
    case 6:
      return text(mutated(r, `40{"token":"a.b.c"}`));
    case 7:
      return text(r.pick(['', '0', '1', '2', '3', '3x', '5', '6', '41', '2probe', '4'.repeat(r.int(70_000))]));
    default:
      return text(mutated(r, `42${ack}${command(r)}`));
  }
}
