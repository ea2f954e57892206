/** JSON texts as a hostile client would write them, and commands made of them. */
import type { Random } from './random.ts';

const keys = [
  '__proto__',
  'constructor',
  'prototype',
  'toJSON',
  'toString',
  'then',
  'hasOwnProperty',
  '_placeholder',
  'num',
  '',
  '0',
  'length',
  'room',
  'id',
  'body',
  'seq',
  'data',
  'token',
  'cursors',
  'limit',
  'nsp',
  'type',
  '\\u0000',
];
const scalars = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1e999',
  '1e-999',
  '9007199254740993',
  '0.1',
  '123456789012345678901',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"pit"',
  '"calm"',
  '"direct:a,b"',
  '"\\\\"',
  '"\u2028"',
  '"😀"',
  '"../../etc"',
  '"%00"',
  '"\\u202e"',
  '"__proto__"',
  '{}',
  '[]',
  '[[]]',
  '{"":{}}',
  '"NaN"',
];
const rooms = ['"pit"', '"calm"', '"none"', '"__proto__"', '"direct:a:b"', '"a\\u0000"', '"😀"', '1', 'null', '{}'];
const names = [
  'message:send',
  'history',
  'sync',
  'read',
  'signal',
  'room:create',
  'room:join',
  'room:leave',
  'room:invite',
  'room:list',
  'room:members',
  'room:search',
  'room:update',
  'room:mute',
  'room:ban',
  'invitation:create',
  'invitation:list',
  'link:create',
  'link:join',
  'auth:refresh',
];
const strange = ['__proto__', 'constructor', '', 'ready', 'message', 'error', 'ROOM:LIST', 'valueOf', 'x'.repeat(5000)];

/** A JSON value. Most are small, some deep, few huge. */
export function value(r: Random, depth = 3): string {
  if (depth === 0 || r.chance(0.5)) return r.pick(scalars);
  if (r.chance(0.01)) return nested(r, 1 + r.int(r.chance(0.2) ? 5000 : 100));
  if (r.chance(0.005)) return JSON.stringify('x'.repeat(r.int(30_000)));
  const size = r.int(4);
  if (r.chance(0.5)) return `[${Array.from({ length: size }, () => value(r, depth - 1)).join()}]`;
  return `{${Array.from({ length: size }, () => `"${r.pick(keys)}":${value(r, depth - 1)}`).join()}}`;
}

function nested(r: Random, levels: number): string {
  return r.chance(0.5) ? '['.repeat(levels) + ']'.repeat(levels) : '{"a":'.repeat(levels) + '1' + '}'.repeat(levels);
}

function uuid(r: Random): string {
  const hex = r.bytes(16).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function cursors(r: Random): string {
  const count = r.chance(0.02) ? r.pick([500, 501, 3000]) : r.int(4);
  const of = Array.from({ length: count }, (_, n) => `"${count > 9 ? `room-${n}` : r.pick(keys)}":${r.int(9) - 1}`);
  return `{"cursors":{${of.join()}}}`;
}

function input(r: Random, name: string): string {
  // mostly input that the server refuses without a query
  if (r.chance(name === 'signal' ? 0.5 : 0.85)) return value(r);
  const room = `"room":${r.pick(rooms)}`;
  switch (name) {
    case 'message:send':
      return `{${room},"id":"${uuid(r)}","body":${value(r)}}`;
    case 'signal':
      return `{${room},"name":${r.chance(0.8) ? '"typing"' : value(r)},"data":${value(r)}}`;
    case 'sync':
      return cursors(r);
    case 'history':
      return `{${room},"limit":${r.pick(['1', '2', '100', '101', '1e9'])},"after":${r.pick(scalars)}}`;
    case 'read':
      return `{${room},"seq":${r.pick(scalars)}}`;
    case 'room:create':
      return `{"kind":${r.pick(['"channel"', '"group"', '"direct"', value(r)])},"name":${value(r)},"user":${value(r)}}`;
    case 'room:invite':
      return `{${room},"user":${value(r)},"role":${value(r)}}`;
    case 'room:search':
      return `{"query":${value(r)},"after":${value(r)}}`;
    case 'room:update':
      return `{${room},"topic":${value(r)},"slowMode":${r.pick(scalars)}}`;
    case 'room:mute':
    case 'room:ban':
    case 'invitation:create':
      return `{${room},"user":${value(r)},"seconds":${r.pick(scalars)},"role":${value(r)}}`;
    case 'link:join':
      return `{"token":${value(r)}}`;
    case 'auth:refresh':
      return `{"token":${r.pick(['"a.b.c"', '"eyJhbGciOiJub25lIn0.e30."', value(r)])}}`;
    default:
      return `{${room},"after":${value(r)},"limit":${r.pick(scalars)}}`;
  }
}

/** The array of an event that every server must answer, whatever it says. */
export function command(r: Random): string {
  const name = r.chance(0.75) ? r.pick(names) : r.pick(strange);
  const more = r.chance(0.05) ? `,${value(r)}` : '';
  return r.chance(0.03) ? `[${JSON.stringify(name)}]` : `[${JSON.stringify(name)},${input(r, name)}${more}]`;
}

/** A payload of CONNECT that is refused at once: it has no token that is text. */
export function connectPayload(r: Random): string {
  const token = r.chance(0.5) ? `"token":${r.pick(['1', '{}', '[]', 'null', 'true', '""', '{"__proto__":"x"}'])},` : '';
  return r.chance(0.1) ? '' : `{${token}"${r.pick(['a', '__proto__', 'constructor', ''])}":${value(r)}}`;
}
