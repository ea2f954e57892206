/**
 * AsyncAPI 3.0 of the socket: each command with its ack, and each event. The actions are those of the server: it receives
 * commands and sends events.
 */
import type { z } from 'zod';
import type { CommandSchema } from '../protocol/command-schema.ts';
import { commands } from '../protocol/commands.ts';
import { events } from '../protocol/events.ts';
import { Schemas, type Json } from './json-schemas.ts';

export interface AsyncApi {
  readonly asyncapi: '3.0.0';
  readonly info: Json;
  readonly channels: Json;
  readonly operations: Json;
  readonly components: { readonly messages: Json; readonly schemas: Json };
}

const channel = { $ref: '#/channels/socket' };

/** The text of a name in references, which `/` and `~` would end. */
const keyOf = (name: string): string => name.replaceAll(':', '-');
const onChannel = (key: string): Json => ({ $ref: `#/channels/socket/messages/${key}` });

export function asyncApi(version: string): AsyncApi {
  const schemas = new Schemas();
  const messages: Record<string, Json> = {};
  const operations: Record<string, Json> = {};
  for (const [name, { about, input, output }] of Object.entries<CommandSchema>(commands)) {
    const key = keyOf(name);
    messages[key] = { name, title: name, summary: about, payload: schemas.ofWhole(input) };
    messages[`${key}-ack`] = { name, title: `the ack of ${name}`, payload: ackOf(schemas.ofOutput(output)) };
    operations[key] = {
      action: 'receive',
      channel,
      title: name,
      messages: [onChannel(key)],
      reply: { channel, messages: [onChannel(`${key}-ack`)] },
    };
  }
  for (const [name, { about, data }] of Object.entries<{ about: string; data: z.ZodType }>(events)) {
    const key = `event-${keyOf(name)}`;
    messages[key] = { name, title: name, summary: about, payload: schemas.ofOutput(data) };
    operations[key] = { action: 'send', channel, title: name, messages: [onChannel(key)] };
  }
  const named = Object.keys(messages).map((key) => [key, { $ref: `#/components/messages/${key}` }]);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Parley',
      version,
      description:
        'Commands and events over Socket.IO. A command is an event with one object and an ack. The ack is `{ok: true, …}` or ' +
        '`{ok: false, error}`.',
      license: { name: 'Apache-2.0' },
    },
    channels: { socket: { address: '/socket.io/', messages: Object.fromEntries(named) as Json } },
    operations,
    components: { messages, schemas: schemas.all() },
  };
}

const failed = {
  type: 'object',
  properties: {
    ok: { const: false },
    error: {
      type: 'object',
      properties: {
        code: { type: 'string' },
        message: { type: 'string' },
        retryable: { type: 'boolean' },
        retryAfter: { type: 'integer', description: 'milliseconds' },
      },
      required: ['code', 'message', 'retryable'],
    },
  },
  required: ['ok', 'error'],
} as const;

function ackOf(output: Json): Json {
  const succeeded = { type: 'object', properties: { ok: { const: true } }, required: ['ok'] };
  return { oneOf: [{ allOf: [succeeded, open(output)] }, failed] };
}

/** A schema without a rule for further fields: the ack has `ok` too. */
function open(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== 'additionalProperties'));
}
