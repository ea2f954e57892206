import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sync } from '../../src/recovery/catch-up.ts';
import type { CommandOutput } from '../../src/protocol/commands.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

let server: TestServer;
let client: StockClient;

beforeAll(async () => {
  server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '100000', PARLEY_COMMAND_BURST: '100000' });
  client = await connectStock(server.url, await tokenOf('syncer'));
});
afterAll(async () => {
  client.close();
  await server.stop();
});

async function roomWith(id: string, messages: number, body: unknown = 'x'): Promise<string> {
  await client.ok('room:create', { kind: 'group', name: id, id });
  for (let n = 0; n < messages; n++) await client.ok('message:send', text(id, body));
  return id;
}

describe('sync', () => {
  it('shares its limit out over the rooms and goes on where it stopped', async () => {
    const rooms = [await roomWith('share-a', 3), await roomWith('share-b', 0), await roomWith('share-c', 4)];
    const cursors: Record<string, number> = Object.fromEntries(rooms.map((room) => [room, 0]));
    const seen: string[] = [];
    for (let more = true; more;) {
      const answer = await client.ok('sync', { cursors, limit: 2 });
      const found = Object.entries(answer.rooms);
      expect(found.flatMap(([, { messages }]) => messages).length).toBeLessThanOrEqual(2);
      for (const [room, { messages, rev }] of found) {
        seen.push(...messages.map(({ seq }) => `${room} ${seq}`));
        cursors[room] = rev;
      }
      ({ more } = answer);
    }
    expect(seen).toEqual(['share-a 1', 'share-a 2', 'share-a 3', 'share-c 1', 'share-c 2', 'share-c 3', 'share-c 4']);
    expect(cursors).toEqual({ 'share-a': 3, 'share-b': 0, 'share-c': 4 });
  });

  it('is bounded in bytes, yet always gives one message', async () => {
    const room = await roomWith('bytes', 4, 'y'.repeat(3000));
    const small = await client.ok('sync', { cursors: { [room]: 0 }, bytes: 1024 });
    expect(small.rooms[room]).toMatchObject({ rev: 1, more: true });
    const two = await client.ok('sync', { cursors: { [room]: 1 }, bytes: 4000 });
    expect(two.rooms[room]).toMatchObject({ rev: 3, more: true });
    const rest = await client.ok('sync', { cursors: { [room]: 3 } });
    expect(rest).toMatchObject({ more: false, rooms: { [room]: { rev: 4, more: false } } });
  });

  it('ends where the revs up to the head have no rows, also beside a room that has', async () => {
    const [bare, other] = [await roomWith('bare', 2), await roomWith('beside', 2)];
    const { sql } = server.database;
    // the state after a change of a message during its deletion: clients sent `sync` again and again
    await sql`update rooms set last_rev = last_rev + 2 where id = ${bare}`;
    // served from Postgres: the replay buffers of this node lack those revs
    const pull = async (
      cursors: Record<string, number>,
      limit = 100,
    ): Promise<Omit<CommandOutput<'sync'>, 'epoch'>> => {
      const { rooms, more } = await sync(sql, 'syncer', { cursors, limit, bytes: 1024 * 1024 });
      return { rooms: JSON.parse(`{${rooms.join(',')}}`) as CommandOutput<'sync'>['rooms'], more };
    };
    expect(await pull({ [bare]: 2 })).toEqual({
      more: false,
      rooms: { [bare]: { messages: [], rev: 4, more: false } },
    });
    const cursors = { [bare]: 2, [other]: 0 };
    const moved: unknown[] = [];
    for (let more = true; more && moved.length < 5;) {
      const answer = await pull(cursors);
      for (const [room, { rev }] of Object.entries(answer.rooms)) cursors[room] = rev;
      moved.push({ ...cursors });
      ({ more } = answer);
    }
    expect(moved).toEqual([
      { [bare]: 2, [other]: 2 },
      { [bare]: 4, [other]: 2 },
    ]);
    // one for which there was no space is not taken for whole
    expect(await pull({ [bare]: 2, [other]: 0 }, 2)).toMatchObject({
      more: true,
      rooms: { [bare]: { rev: 4, more: false }, [other]: { rev: 0, more: true } },
    });
  });

  it('says reset to a cursor beyond the head', async () => {
    const room = await roomWith('beyond', 2);
    const answer = await client.ok('sync', { cursors: { [room]: 9 } });
    expect(answer.rooms[room]).toEqual({ messages: [], rev: 2, more: false, reset: true });
  });

  it('leaves out rooms that one may not see, and that do not exist', async () => {
    const other = await connectStock(server.url, await tokenOf('stranger'));
    const room = await roomWith('mine', 1);
    expect(await other.ok('sync', { cursors: { [room]: 0, nowhere: 0 } })).toMatchObject({ rooms: {}, more: false });
    other.close();
  });

  it('answers nothing to no cursors', async () => {
    expect(await client.ok('sync', { cursors: {} })).toMatchObject({ rooms: {}, more: false });
  });
});
