import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandOutput } from '../../src/protocol/commands.ts';
import { sync, type SyncedRooms } from '../../src/recovery/catch-up.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeRoom } from '../support/messaging.ts';
import { rowsRead } from '../support/rows-read.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 1 });
  await database.sql`insert into users (id) values ('syncer')`;
});
afterAll(() => database.drop());

describe('a page of `sync` from Postgres', () => {
  it('reads no more rows than the page needs, whatever the limit', async () => {
    const { sql } = database;
    const room = await makeRoom(sql, 'many', 'syncer');
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select ${room}, n, gen_random_uuid(), n, 'syncer', jsonb_build_object('text', repeat('x', 15000)), now()
      from generate_series(1, 1000) n`;
    await sql`update rooms set last_seq = 1000, last_rev = 1000 where id = ${room}`;
    const pull = (bytes: number): Promise<SyncedRooms> =>
      sync(sql, 'syncer', { cursors: { [room]: 0 }, limit: 1000, bytes });
    // an answer has 1 message, or 70
    expect(await rowsRead(sql, () => pull(1024), 'messages')).toBeLessThan(20);
    expect(await rowsRead(sql, () => pull(1024 * 1024), 'messages')).toBeLessThan(200);
  });

  it('gives every row once and in order, in pages of any size', async () => {
    const { sql } = database;
    const rooms = ['slices-a', 'slices-b', 'slices-c', 'slices-d'];
    const wanted: string[] = [];
    for (const [at, count] of [300, 0, 129, 128].entries()) {
      const room = await makeRoom(sql, rooms[at] ?? '', 'syncer');
      // every third rev has no row, as after an edit
      await sql`
        insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
        select ${room}, n, gen_random_uuid(), n + n / 2, 'syncer', jsonb_build_object('text', repeat('x', (n * 7919) % 900)), now()
        from generate_series(1, ${count}::int) n`;
      await sql`update rooms set last_seq = ${count}, last_rev = ${count * 1.5 + 3}::float8::bigint where id = ${room}`;
      for (let seq = 1; seq <= count; seq++) wanted.push(`${room} ${seq}`);
    }
    for (const [limit, bytes] of [
      [1000, 1024 * 1024],
      [1000, 64 * 1024],
      [1000, 2000],
      [130, 1024 * 1024],
      [7, 4000],
    ] as const) {
      const cursors: Record<string, number> = Object.fromEntries(rooms.map((room) => [room, 0]));
      const seen: string[] = [];
      for (let more = true; more;) {
        const answer = await sync(sql, 'syncer', { cursors, limit, bytes });
        const found = JSON.parse(`{${answer.rooms.join(',')}}`) as CommandOutput<'sync'>['rooms'];
        const messages = Object.entries(found).flatMap(([room, { messages: list, rev }]) => {
          cursors[room] = rev;
          return list;
        });
        const sizes = messages.map(({ body }) => JSON.stringify(body).length);
        expect(messages.length).toBeLessThanOrEqual(limit);
        // Postgres writes a space behind the colon
        expect(sizes.slice(0, -1).reduce((sum, size) => sum + size + 1, 0)).toBeLessThan(bytes);
        seen.push(...messages.map(({ room, seq }) => `${room} ${seq}`));
        ({ more } = answer);
      }
      expect(seen.toSorted()).toEqual(wanted.toSorted());
      expect(cursors).toEqual({ 'slices-a': 453, 'slices-b': 3, 'slices-c': 196, 'slices-d': 195 });
    }
  });
});
