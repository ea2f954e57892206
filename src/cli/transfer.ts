/** `parley export` and `parley import`: rooms to lines of JSON, and from such lines. See docs/export.md. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Config } from '../config/config.ts';
import { exportRooms, type Write } from '../transfer/export.ts';
import { importLines, ImportError } from '../transfer/import.ts';
import { instant, roomId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { withDatabase } from './with-database.ts';

export const transferHelp = `  export --room R | --all      print rooms with their messages and members, as lines of JSON
        [--since T]            only messages since T: 2026-01-31, or milliseconds since 1970
  import [FILE]                store such lines; without FILE, from standard input`;

export async function exportCommand(args: string[], configure: () => Config): Promise<void> {
  const { values } = parse(
    args,
    { room: { type: 'string' }, all: { type: 'boolean' }, since: { type: 'string' } },
    false,
  );
  if ((values['room'] === undefined) === (values['all'] !== true)) {
    throw new StartupError('The command export needs either --room R or --all.');
  }
  const room = roomId.optional().safeParse(values['room']);
  if (!room.success) throw new StartupError(`--room: ${room.error.issues[0]?.message ?? 'expected a room id'}.`);
  const since = typeof values['since'] === 'string' ? instantOf(values['since']) : undefined;
  const done = await withDatabase(configure(), (sql) => exportRooms(sql, { room: room.data, since }, toOutput()));
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  console.error(`Exported ${done.rooms} rooms, ${done.messages} messages. Peak memory: ${peak} MB.`);
}

export async function importCommand(args: string[], configure: () => Config): Promise<void> {
  const { positionals } = parse(args, {}, true);
  const [file, ...more] = positionals;
  if (more.length > 0) throw new StartupError('The command import takes one file.');
  const config = configure();
  const input = file === undefined ? process.stdin : createReadStream(file);
  if (file !== undefined) {
    await once(input, 'ready').catch((error: unknown) => {
      throw new StartupError(
        `The file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }
  try {
    const done = await withDatabase(config, (sql) => importLines(sql, input));
    const peak = Math.round(process.resourceUsage().maxRSS / 1024);
    console.error(`Imported ${done.rooms} rooms; ${done.messages} messages were new. Peak memory: ${peak} MB.`);
  } catch (error) {
    if (error instanceof ImportError) throw new StartupError(error.message, { cause: error });
    throw error;
  } finally {
    input.destroy();
  }
}

function instantOf(text: string): number {
  const at = instant.safeParse(/^\d+$/.test(text) ? Number(text) : Date.parse(text));
  if (at.success) return at.data;
  throw new StartupError(
    `--since ${text}: expected a time such as 2026-01-31, 2026-01-31T12:00:00Z or milliseconds since 1970.`,
  );
}

/** Waits while the reader of the output is slower. @throws {StartupError} after the reader has closed the output */
function toOutput(): Write {
  let gone: Error | undefined;
  process.stdout.on('error', (error: Error) => {
    gone = error;
    process.stdout.emit('drain');
  });
  return async (text) => {
    if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain');
    if (gone !== undefined) throw new StartupError(`The output was closed: ${gone.message}`);
  };
}

function parse(args: string[], options: Record<string, { type: 'string' | 'boolean' }>, files: boolean) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: files });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}
