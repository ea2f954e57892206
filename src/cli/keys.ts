/** `parley keys`: creates, lists, rotates and revokes API keys. For operators, beside running servers. */
import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { StoredKeys, type KeyManagement } from '../api/keys/stored-keys.ts';
import { apiKeySlice } from '../config/slices.ts';
import { ParleyError } from '../protocol/errors.ts';
import { keyCreateInput, keyRevokeInput, keyRotateInput, type KeyView, type KeyWithSecret } from '../protocol/keys.ts';
import { scopes } from '../protocol/scopes.ts';
import { StartupError } from '../startup-error.ts';
import { printableValue } from '../telemetry/printable.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const keysHelp = `  keys create --name N         create an API key for back ends, and print it; Parley shows the key this one time
        --scopes S,…           what the key may do, of ${scopes.slice(0, 5).join(', ')},
                               ${scopes.slice(5).join(', ')}
        [--rooms P,…]          rooms that the key may use, with * for any characters, such as team-* (default: every room)
        [--networks C,…]       addresses and CIDR ranges from which the key may be used (default: all)
        [--per-hour N]         requests per hour (default: PARLEY_API_KEY_REQUESTS_PER_HOUR)
        [--expires T]          when the key expires: 90d, 12h or a time such as 2030-01-31 (default: never)
  keys list                    print all API keys without their secrets
  keys rotate ID               give a key another secret, and print it
        [--overlap T]          how long the former secret stays valid: 1h, or 0 (default: PARLEY_API_KEY_OVERLAP_MS)
  keys revoke ID               revoke a key; every node refuses it within a second
        [--json]               for each of the four: print JSON`;

type Print = (line: string) => void;

/** @throws {StartupError} */
export async function keysCommand(args: string[], context: CommandContext): Promise<void> {
  const run = readKeysCommand(args, Date.now());
  const settings = apiKeySlice(context.config);
  await withDatabase(context, (sql) => run(new StoredKeys(sql, settings), (line) => context.print(line)));
}

/** Runs a command that was read. @throws {StartupError} with the reason of the refusal */
export type RunKeys = (keys: KeyManagement, print: Print) => Promise<void>;

/**
 * Reads the arguments after `keys`. The result runs with any keys: those of a database, or those of a running server.
 * @param now milliseconds since 1970
 * @throws {StartupError} for wrong arguments
 */
export function readKeysCommand([action, ...rest]: readonly string[], now: number): RunKeys {
  switch (action) {
    case 'create':
      return refusing(readCreate(rest, now));
    case 'list':
      return refusing(readList(rest));
    case 'rotate':
      return refusing(readRotate(rest));
    case 'revoke':
      return refusing(readRevoke(rest));
    case undefined:
    default:
      throw new StartupError('The command keys needs create, list, rotate or revoke.\nSee parley --help.');
  }
}

function readCreate(args: string[], now: number): RunKeys {
  const { values, positionals } = parse(args, {
    name: { type: 'string' },
    scopes: { type: 'string' },
    rooms: { type: 'string' },
    networks: { type: 'string' },
    'per-hour': { type: 'string' },
    expires: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (positionals.length > 0) throw new StartupError(`Unexpected argument '${positionals[0]}'\nSee parley --help.`);
  if (values.name === undefined) throw new StartupError('The command keys create needs --name N.');
  if (values.scopes === undefined)
    throw new StartupError(`The command keys create needs --scopes with one or more of ${scopes.join(', ')}.`);
  const perHour = values['per-hour'];
  const input = checked(keyCreateInput, {
    name: values.name,
    scopes: listOf(values.scopes),
    ...(values.rooms === undefined ? {} : { rooms: listOf(values.rooms) }),
    ...(values.networks === undefined ? {} : { networks: listOf(values.networks) }),
    ...(perHour === undefined ? {} : { perHour: /^\d+$/.test(perHour) ? Number(perHour) : perHour }),
    ...(values.expires === undefined ? {} : { expiresAt: moment(values.expires, now) }),
  });
  return async (keys, print) => printSecret(await keys.create(input), values.json === true, print);
}

function readList(args: string[]): RunKeys {
  const { values, positionals } = parse(args, { json: { type: 'boolean' } });
  if (positionals.length > 0) throw new StartupError(`Unexpected argument '${positionals[0]}'\nSee parley --help.`);
  return async (keys, print) => {
    const found = await keys.list();
    if (values.json === true) print(JSON.stringify({ keys: found }));
    else if (found.length === 0) print('There are no API keys.');
    else for (const line of table(found)) print(line);
  };
}

function readRotate(args: string[]): RunKeys {
  const { values, positionals } = parse(args, { overlap: { type: 'string' }, json: { type: 'boolean' } });
  const overlapMs = values.overlap === undefined ? undefined : duration('--overlap', values.overlap);
  const id = one(positionals, 'rotate');
  const input = checked(keyRotateInput, overlapMs === undefined ? { id } : { id, overlapMs });
  return async (keys, print) => printSecret(await keys.rotate(input), values.json === true, print);
}

function readRevoke(args: string[]): RunKeys {
  const { values, positionals } = parse(args, { json: { type: 'boolean' } });
  const input = checked(keyRevokeInput, { id: one(positionals, 'revoke') });
  return async (keys, print) => {
    const revoked = await keys.revoke(input);
    if (values.json === true) print(JSON.stringify({ revoked }));
    else
      print(`Revoked API key ${revoked.id} (${printableValue(revoked.name)}). Every node refuses it within a second.`);
  };
}

/** A refusal of the keys is no fault of Parley: the operator gets its sentence without a stack. */
function refusing(run: RunKeys): RunKeys {
  return async (keys, print) => {
    try {
      await run(keys, print);
    } catch (error) {
      throw error instanceof ParleyError ? new StartupError(error.message, { cause: error }) : error;
    }
  };
}

function parse<T extends Record<string, { type: 'string' | 'boolean' }>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}

function one(positionals: readonly string[], action: string): string {
  const [id, ...more] = positionals;
  if (id !== undefined && more.length === 0) return id;
  throw new StartupError(`The command keys ${action} needs the id of one API key; parley keys list prints the ids.`);
}

function checked<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [field, place] = issue?.path ?? [];
  const flag = field === 'id' ? 'The id' : `--${flagNames[String(field)] ?? String(field)}`;
  const entry = typeof place === 'number' ? `, entry ${place + 1}` : '';
  throw new StartupError(`${flag}${entry}: ${issue?.message ?? 'a value of another form was expected'}.`);
}

const flagNames: Readonly<Record<string, string>> = { perHour: 'per-hour', expiresAt: 'expires', overlapMs: 'overlap' };

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(flag: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (text === '0') return 0;
  if (count === undefined) throw new StartupError(`${flag} ${text}: expected a time such as 90s, 15m, 12h or 30d.`);
  return Number(count) * (units[unit] ?? 0);
}

/** A time from now on, or an ISO time; a date alone is its midnight in UTC. */
function moment(text: string, now: number): number {
  if (/^\d{1,6}[smhd]$/.test(text)) return now + duration('--expires', text);
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(at))
    throw new StartupError(`--expires ${text}: expected a time such as 90d, 2030-01-31 or 2030-01-31T12:00:00Z.`);
  return at;
}

function printSecret({ key, text }: KeyWithSecret, json: boolean, print: Print): void {
  if (json) return print(JSON.stringify({ key, text }));
  print(text);
  print('');
  for (const line of table([key])) print(line);
  print('');
  print('Parley stores only a hash: keep the key now, for it is never shown again.');
  if (key.previousUntil !== null) print(`The former secret stays valid until ${when(key.previousUntil)}.`);
  else if (key.rotatedAt !== null) print('The former secret ends now: every node refuses it within a second.');
}

/** Names are texts of operators, and may have any letters. */
function table(keys: readonly KeyView[]): string[] {
  const rows = keys.map((key) =>
    [
      key.id,
      key.name,
      key.scopes.join(','),
      key.rooms.join(','),
      key.networks.length === 0 ? 'any' : key.networks.join(','),
      String(key.perHour),
      key.expiresAt === null ? 'never' : when(key.expiresAt),
      key.usedAt === null ? 'never' : when(key.usedAt),
    ].map(printableValue),
  );
  const all = [['ID', 'NAME', 'SCOPES', 'ROOMS', 'NETWORKS', 'PER HOUR', 'EXPIRES', 'LAST USED'], ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((value, column) => value.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function when(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
