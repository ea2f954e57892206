/** The rows that Postgres reads for the rooms of a user: only direct rooms cost a read of the other user. */
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConnectLoad } from '../../src/connect/connect-load.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let sql: postgres.Sql;

beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 1 });
  ({ sql } = database);
  await sql`insert into users (id, name) values ('ann', 'Ann'), ('ben', 'Ben'), ('cleo', 'Cleo')`;
  for (const room of ['one', 'two', 'three']) {
    await sql`insert into rooms (id, kind, name, created_by, member_count) values (${room}, 'group', ${room}, 'ann', 2)`;
  }
  await sql`insert into rooms (id, kind, created_by, peer_id, member_count) values ('direct:x', 'direct', 'ann', 'ben', 2)`;
  await sql`
    insert into members (room_id, user_id, role)
    select r, u, 'member' from unnest(array['one', 'two', 'three']) r, unnest(array['ann', 'cleo']) u`;
  await sql`insert into members (room_id, user_id, role) select 'direct:x', u, 'member' from unnest(array['ann', 'ben']) u`;
  // with tables of this size Postgres would read them whole
  await sql`set enable_seqscan = off`;
});
afterAll(() => database.drop());

/** How often an index of the table was used for one page of the user's rooms. */
async function lookups(table: string, user: string): Promise<number> {
  const count = async (): Promise<number> => {
    await sql`select pg_stat_force_next_flush()`;
    const [row] = await sql<{ scans: number }[]>`
      select coalesce(idx_scan, 0)::int as scans from pg_stat_user_tables where relname = ${table}`;
    return row?.scans ?? 0;
  };
  const before = await count();
  await new ConnectLoad(sql).summaries(user);
  return (await count()) - before;
}

describe('a page of rooms', () => {
  it('reads no user for rooms that are not direct', async () => {
    expect(await lookups('users', 'cleo')).toBe(0);
    expect(await lookups('members', 'cleo')).toBe(1);
  });

  it('reads one user for each direct room', async () => {
    expect(await lookups('users', 'ann')).toBe(1);
    const { rooms } = await new ConnectLoad(sql).summaries('ann');
    expect(rooms.map(({ id, peer }) => [id, peer])).toEqual([
      ['direct:x', { id: 'ben', name: 'Ben' }],
      ['one', undefined],
      ['three', undefined],
      ['two', undefined],
    ]);
  });
});
