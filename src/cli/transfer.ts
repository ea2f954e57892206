/** `parley export` and `parley import`: rooms to lines of JSON, and from such lines. See docs/export.md. */
import { once } from 'node:events';
import { createReadStream, type ReadStream } from 'node:fs';
import { exportRooms } from '../transfer/export.ts';
import { importLines, ImportError } from '../transfer/import.ts';
import { instant, roomId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { parseArguments, parseOptions } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const transferHelp = `  export --room R | --all      print rooms with their messages and members, as lines of JSON
        [--since T]            only messages since T: 2026-01-31, or milliseconds since 1970
  import [FILE]                store such lines; without FILE, from standard input`;

export async function exportCommand(args: string[], context: CommandContext): Promise<void> {
  const values = parseOptions(args, { room: { type: 'string' }, all: { type: 'boolean' }, since: { type: 'string' } });
  if ((values.room === undefined) === (values.all !== true)) {
    throw new StartupError('The command export needs either --room R or --all.');
  }
  const room = roomId.optional().safeParse(values.room);
  if (!room.success) throw new StartupError(`--room: ${room.error.issues[0]?.message ?? 'expected a room id'}.`);
  const since = typeof values.since === 'string' ? instantOf(values.since) : undefined;
  const done = await withDatabase(context, (sql) =>
    exportRooms(sql, { room: room.data, since }, (text) => context.write(text)),
  );
  context.note(`Exported ${done.rooms} rooms, ${done.messages} messages. Peak memory: ${peakMegabytes()} MB.`);
}

/** @returns the file of the command, if its arguments name one. @throws {StartupError} */
export async function importInput(args: string[]): Promise<ReadStream | undefined> {
  const [file] = filesOf(args);
  if (file === undefined) return undefined;
  const input = createReadStream(file);
  await once(input, 'ready').catch((error: unknown) => {
    throw new StartupError(
      `The file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  return input;
}

export async function importCommand(args: string[], context: CommandContext): Promise<void> {
  filesOf(args);
  try {
    const done = await withDatabase(context, (sql) => importLines(sql, context.input));
    await context.withCache?.(async (cache) => void (await cache.clear()));
    context.note(
      `Imported ${done.rooms} rooms; ${done.messages} messages were new. Peak memory: ${peakMegabytes()} MB.`,
    );
  } catch (error) {
    if (error instanceof ImportError) throw new StartupError(error.message, { cause: error });
    throw error;
  }
}

function filesOf(args: string[]): string[] {
  const { positionals } = parseArguments(args, {});
  if (positionals.length > 1) throw new StartupError('The command import takes one file.');
  return positionals;
}

/** The peak of the process that runs the command. */
function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function instantOf(text: string): number {
  const at = instant.safeParse(/^\d+$/.test(text) ? Number(text) : Date.parse(text));
  if (at.success) return at.data;
  throw new StartupError(
    `--since ${text}: expected a time such as 2026-01-31, 2026-01-31T12:00:00Z or milliseconds since 1970.`,
  );
}
