/**
 * Writes rooms as lines (lines.ts), in pages, so that memory does not grow with them. Each room is read in one snapshot:
 * the file has the room of one moment, without later writes.
 */
import type { postgres } from '../storage/sql.ts';
import { StartupError } from '../startup-error.ts';
import { format, type LineOf } from './lines.ts';
import { exportRoom, type Write } from './room-export.ts';

export interface ExportOptions {
  /** Undefined: all rooms, in id order. */
  readonly room: string | undefined;
  /** Only messages that were committed at that moment or later; milliseconds since 1970. */
  readonly since: number | undefined;
}

export interface Exported {
  readonly rooms: number;
  readonly messages: number;
}

const roomsPage = 100;
const rowsPage = 2000;

/** @throws {StartupError} if there is no such room. */
export async function exportRooms(sql: postgres.Sql, options: ExportOptions, write: Write): Promise<Exported> {
  const { room, since = null } = options;
  await write(exportHead(since));
  const blocks = room === undefined ? await exportBlocks(sql, write) : 0;
  const known = new Set<string>();
  let [rooms, messages] = [0, 0];
  for await (const ids of room === undefined ? allRooms(sql) : [[room]]) {
    for (const id of ids) {
      const count = await exportRoom(sql, { room: id, since, known }, write);
      if (count === undefined && room !== undefined) throw new StartupError(`There is no room ${room}.`);
      // deleted since its id was read
      if (count === undefined) continue;
      rooms++;
      messages += count;
    }
  }
  await write(exportEnd({ rooms, messages, blocks }));
  return { rooms, messages };
}

/** The first line. @param since of the first messages; null: all */
export function exportHead(since: number | null): string {
  return `${JSON.stringify({ type: 'export', format, at: Date.now(), since } satisfies LineOf<'export'>)}\n`;
}

/** The last line. */
export function exportEnd(counts: Omit<LineOf<'end'>, 'type'>): string {
  return `${JSON.stringify({ type: 'end', ...counts } satisfies LineOf<'end'>)}\n`;
}

/** They come before all rooms: an import has them before anybody can invite or mention somebody. @returns how many. */
export async function exportBlocks(sql: postgres.Sql, write: Write): Promise<number> {
  let written = 0;
  for (let after = { user: '', blocked: '' }; ;) {
    const rows = await sql<Omit<LineOf<'block'>, 'type'>[]>`
      select user_id as user, blocked_id as blocked, at from blocks
      where (user_id, blocked_id) > (${after.user}, ${after.blocked}) order by user_id, blocked_id limit ${rowsPage}`;
    let text = '';
    for (const row of rows) text += `${JSON.stringify({ type: 'block', ...row } satisfies LineOf<'block'>)}\n`;
    await write(text);
    written += rows.length;
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsPage) return written;
    after = last;
  }
}

/** The rooms behind an id, in pages. */
export async function* allRooms(sql: postgres.Sql, begin = ''): AsyncGenerator<string[]> {
  for (let after = begin; ;) {
    const rows = await sql<{ id: string }[]>`select id from rooms where id > ${after} order by id limit ${roomsPage}`;
    yield rows.map(({ id }) => id);
    const last = rows.at(-1);
    if (last === undefined || rows.length < roomsPage) return;
    after = last.id;
  }
}
