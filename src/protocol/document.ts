/** Renders the reference pages in docs/ from the schemas, so that they cannot drift. A test compares; `vitest -u` renews. */
import { z } from 'zod';
import { protocolCases } from './cases.ts';
import type { Declarations } from './command-schema.ts';
import { commands } from './commands.ts';
import { errorCatalogue, type ErrorCode } from './errors.ts';
import { events } from './events.ts';
import { limits } from './limits.ts';
import { ban, invitation, joinLink, member, message, roomState, roomSummary, session, thread } from './model.ts';

interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema;
  format?: string;
  pattern?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}

const generated = '<!-- Generated from src/protocol/. Renew with: npm test -- -u -->';

const named: [RegExp, string][] = [
  [/^room id:/, 'RoomId'],
  [/^user id, /, 'UserId'],
];

/** @param declared the commands that the page has, in this order */
export function renderProtocol(declared: Declarations = commands): string {
  const parts = [
    generated,
    '# Protocol',
    intro(),
    '## Commands',
    'A command is `42<n>["name",{…}]`; its ack `43<n>[{"ok":true,…}]` or `43<n>[{"ok":false,"error":{code,message,retryable,retryAfter?}}]`. Besides the listed errors every command may fail with `invalid`, `rate_limited`, `overloaded`, `unavailable`, `draining` or `internal`. Messages are numbered from 1; instants are milliseconds since 1970, UTC. A command of the kind `write` stores something, one of the kind `read` stores nothing, and a `signal` is sent on without being stored. A server that hands its database over answers a `write` with `draining` first, and still answers the others. `PARLEY_COMMANDS_PER_SECOND` counts a command as many times as its `Counts as` says. Refused CONNECTs, and acks that the server does not wait for, count too.',
  ];
  for (const [name, { about, kind, weight, input, output, errors }] of Object.entries(declared)) {
    parts.push(`### \`${name}\``, about, shape('in', input, 'input'), shape('ok', output, 'output'));
    if (errors.length > 0) parts.push(`Errors: ${errors.map((code) => `\`${code}\``).join(', ')}`);
    parts.push(`Kind: ${kind}. Counts as: ${weight}.`);
  }
  parts.push(
    '## Shapes',
    shape('Message', message, 'output'),
    shape('Thread', thread, 'output'),
    shape('Room', roomSummary, 'output'),
    shape('RoomState', roomState, 'output'),
    shape('Member', member, 'output'),
    shape('Invitation', invitation, 'output'),
    shape('JoinLink', joinLink, 'output'),
    shape('Ban', ban, 'output'),
    shape('Session', session, 'output'),
  );
  parts.push('## Events', 'An event is `42["name",{…}]`.');
  for (const [name, { about, data }] of Object.entries(events)) {
    parts.push(`### \`${name}\``, about, shape('data', data, 'output'));
  }
  parts.push(
    '## Limits',
    table(
      ['limit', 'value'],
      Object.entries(limits).map(([name, value]) => [`\`${name}\``, value.toLocaleString('en')]),
    ),
  );
  parts.push(
    '## Cases',
    'The answers of the socket path on the wire, after the public texts of Engine.IO v4 and Socket.IO v5. Each line is a test in `test/protocol/`; the tests of Socket.IO packets run over long-polling and WebSocket, in text and in msgpack.',
  );
  for (const [area, cases] of Object.entries(protocolCases)) {
    parts.push(`### ${area}`, table(['case', 'answer'], Object.entries(cases)));
  }
  return `${parts.join('\n\n')}\n`;
}

export function renderErrors(): string {
  const rows = (Object.keys(errorCatalogue) as ErrorCode[]).map((code) => {
    const kind = errorCatalogue[code];
    return [
      `\`${code}\``,
      kind.message,
      kind.retryable ? 'yes' : 'no',
      String(kind.httpStatus),
      'closeCode' in kind ? String(kind.closeCode) : '',
    ];
  });
  return [
    generated,
    '# Errors',
    'One catalogue for acks, CONNECT_ERROR (`data.code`), REST bodies, close frames and metric labels. `retryable`: the same request may succeed later; if the error has `retryAfter`, wait so many milliseconds. Close codes are codes of the WebSocket; a client may connect again after each of them.',
    table(['code', 'meaning', 'retryable', 'HTTP', 'close'], rows),
    '',
  ].join('\n\n');
}

function intro(): string {
  return [
    'Any Socket.IO client of version 3 or 4 speaks this protocol with no options at all: the client begins with long-polling and upgrades. So does one with `transports: ["websocket"]`, one with `socket.io-msgpack-parser` that says so in the handshake (`query: {parser: "msgpack"}`), and a plain WebSocket:',
    '1. Open `ws://host/socket.io/?EIO=4&transport=websocket`. The server sends `0{"sid":…,"pingInterval":…,"pingTimeout":…,"maxPayload":…}`.',
    '2. Send `40{"token":"<JWT>"}` within the connect timeout. The answer is `40{"sid":"<session>"}`, or `44{"message":…,"data":{"code":…,"retryable":…}}`. The token of the first accepted CONNECT may also come in an `Authorization: Bearer` header of the handshake. With `PARLEY_TOKEN_IN_URL=on` it may come as `?token=`. A server ignores `?token=` otherwise, because addresses end up in logs. `device` beside the token, 1 to 64 characters, names the device in the list of sessions.',
    '3. The event `ready` follows. Answer each `2` of the server with `3`.',
    'Tokens are JWTs with `sub` (the user id) and `exp`, and optionally `name`, `tier`, `iat`, `jti` and `backend`. `backend` is `true` in tokens of your own back ends, which may add users to rooms without an invitation. A token may be taken back before it expires (`session:revoke`).',
  ].join('\n\n');
}

function shape(label: string, schema: z.ZodType, io: 'input' | 'output'): string {
  const json = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as JsonSchema & {
    $defs?: Record<string, JsonSchema>;
  };
  // a shape that has a name is printed under it, once
  const own = label in (json.$defs ?? {}) ? (json.$defs?.[label] ?? json) : json;
  return `\`\`\`ts\n${label}: ${notation(own, 0)}\n\`\`\``;
}

/** TypeScript-like, with defaults and limits as comments. */
function notation(schema: JsonSchema, depth: number): string {
  // a recursive schema without a name is z.json()
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1)?.replace(/^__.*/, 'JSON') ?? '';
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return alternatives.map((one) => notation(one, depth)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const name = named.find(([pattern]) => pattern.test(schema.description ?? ''))?.[1];
  if (name !== undefined) return name;
  if (schema.type === 'array') return `${notation(schema.items ?? {}, depth)}[]`;
  if (schema.type === 'object') return objectNotation(schema, depth);
  if (schema.type === 'integer' || schema.type === 'number') return 'number';
  if (schema.type === 'string') return schema.format === 'uuid' ? 'UUID' : 'string';
  if (Array.isArray(schema.type)) return schema.type.join(' | ');
  return schema.type ?? 'JSON';
}

function objectNotation(schema: JsonSchema, depth: number): string {
  if (schema.properties === undefined) {
    return typeof schema.additionalProperties === 'object'
      ? `{ [${notation(schema.propertyNames ?? {}, depth)}]: ${notation(schema.additionalProperties, depth)} }`
      : '{}';
  }
  const entries = Object.entries(schema.properties);
  if (entries.length === 0) return '{}';
  const indent = '  '.repeat(depth + 1);
  const lines = entries.map(([key, value]) => {
    const optional = schema.required?.includes(key) === true ? '' : '?';
    const remark = remarks(value);
    return `${indent}${key}${optional}: ${notation(value, depth + 1)};${remark === '' ? '' : ` // ${remark}`}`;
  });
  return `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`;
}

function remarks(schema: JsonSchema): string {
  const parts: string[] = [];
  if (schema.description !== undefined && !named.some(([pattern]) => pattern.test(schema.description ?? '')))
    parts.push(schema.description);
  if (schema.type === 'integer' && schema.maximum !== undefined && schema.maximum < 1e9)
    parts.push(`${schema.minimum ?? 0} to ${schema.maximum}`);
  if (schema.type === 'string' && schema.maxLength !== undefined)
    parts.push(`${schema.minLength ?? 0} to ${schema.maxLength} characters`);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join('; ');
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
