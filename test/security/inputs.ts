/** Inputs of commands, made from their declarations: a new command has one as soon as it is declared. */
import { createECDH, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { commands, type CommandName } from '../../src/protocol/commands.ts';

export interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
}

export const commandNames = Object.keys(commands) as CommandName[];

/** The forms of a command's input: more than one where the input is a union. */
export function formsOf(command: CommandName): readonly JsonSchema[] {
  const schema = z.toJSONSchema(commands[command].input, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return schema.anyOf ?? schema.oneOf ?? [schema];
}

/** Names that stand in inputs: the room, its message 1, and another user. */
export interface Named {
  readonly room: string;
  readonly user: string;
}

/** The public key of a browser that subscribes. */
const browserKey = createECDH('prime256v1').generateKeys('base64url');

/** A value for a key of an input. Keys of one name mean the same in all commands. */
function valueOf(key: string, schema: JsonSchema, named: Named, command: CommandName): unknown {
  if (schema.const !== undefined) return schema.const;
  switch (key) {
    case 'room':
      return named.room;
    case 'user':
    case 'from':
      return named.user;
    case 'users':
      return [named.user];
    case 'id':
      return command === 'message:send' || command === 'device:remove' ? randomUUID() : '0123456789abcdef';
    case 'body':
      return { text: 'hello' };
    case 'emoji':
      return '👍';
    case 'cursors':
      return { [named.room]: 0 };
    case 'preferences':
      return {};
    case 'web':
      return { endpoint: 'https://push.example.com/1', keys: { p256dh: browserKey, auth: 'A'.repeat(22) } };
    case 'token':
      return 'a'.repeat(32);
    case 'name':
    case 'query':
    case 'session':
      return 'words';
  }
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.type === 'integer') return Math.max(1, schema.minimum ?? 1);
  throw new Error(`${command}: no value is known for ${key}; add one in test/security/inputs.ts`);
}

/** The smallest input of a form, with what is given besides. */
export function inputOf(command: CommandName, form: JsonSchema, named: Named, more: object = {}): object {
  const given = Object.fromEntries(
    (form.required ?? []).map((key) => [key, valueOf(key, form.properties?.[key] ?? {}, named, command)]),
  );
  return { ...given, ...more };
}

export interface NumberInput {
  readonly command: CommandName;
  readonly key: string;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  /** The input with this number in its place. */
  readonly withNumber: (value: number, named: Named) => object;
}

/** Every number that an input may have. */
export function numberInputs(): NumberInput[] {
  return commandNames.flatMap((command) =>
    formsOf(command).flatMap((form) =>
      Object.entries(form.properties ?? {}).flatMap(([key, schema]): NumberInput[] => {
        const alternatives = schema.anyOf ?? schema.oneOf ?? [schema];
        const number = alternatives.find(({ type }) => type === 'integer' || type === 'number');
        if (number !== undefined) {
          const { minimum, maximum } = number;
          const withNumber = (value: number, named: Named): object => inputOf(command, form, named, { [key]: value });
          return [{ command, key, minimum, maximum, withNumber }];
        }
        const of = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
        if (of?.type !== 'integer') return [];
        const { minimum, maximum } = of;
        const withNumber = (value: number, named: Named): object =>
          inputOf(command, form, named, { [key]: { [named.room]: value } });
        return [{ command, key: `${key}.*`, minimum, maximum, withNumber }];
      }),
    ),
  );
}
