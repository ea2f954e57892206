/** A node that starts loads the values that the first requests of back ends need. */
import { expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { startServer } from '../support/server.ts';
import { makeKey, request } from '../api/keys-routes.ts';
import { until } from '../support/until.ts';

it('has the owners of the 100 busiest rooms, and their names, before the first request', async () => {
  const database = await createTestDatabase();
  const { sql } = database;
  const first = await startServer({}, database);
  const key = (await makeKey(sql, { scopes: ['rooms'] })).text;
  await first.stop();
  await sql`insert into users (id, name) select 'user-' || n, 'User ' || n from generate_series(1, 102) n`;
  await sql`
    insert into rooms (id, kind, name, created_by, member_count, last_seq, last_rev)
    select 'room-' || n, 'channel', 'Room ' || n, 'user-' || n, 1, n - 1, n - 1 from generate_series(1, 102) n`;
  await sql`
    insert into members (room_id, user_id, role) select 'room-' || n, 'user-' || n, 'owner' from generate_series(1, 102) n`;
  const server = await startServer({}, database);
  try {
    const reads = async (kind: string, result: string): Promise<number> =>
      (await server.metrics()).get(`parley_cache_reads_total{kind="${kind}",result="${result}"}`) ?? 0;
    await until('the names are loaded', async () => (await reads('user', 'loaded')) === 100);
    expect(await reads('roomOwner', 'loaded')).toBe(100);
    expect((await request(server.url, 'GET', '/rooms/room-102', { bearer: key })).status).toBe(200);
    expect([await reads('roomOwner', 'local'), await reads('user', 'local')]).toEqual([1, 1]);
    // one less busy: its owner is loaded by the request
    expect((await request(server.url, 'GET', '/rooms/room-2', { bearer: key })).status).toBe(200);
    expect(await reads('roomOwner', 'loaded')).toBe(101);
  } finally {
    await server.stop();
    await database.drop();
  }
});
