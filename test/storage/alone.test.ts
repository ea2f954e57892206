/**
 * A server without Redis is alone, but not the only writer. Postgres may commit and its answer be lost, and a command such as
 * `parley import` writes too. These tests run the SQL of such a writer, which notifies no node.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { exportRooms } from '../../src/transfer/export.ts';
import { importLines } from '../../src/transfer/import.ts';
import { createTestDatabase } from '../support/database.ts';
import { createWriter, makeRoom, send } from '../support/messaging.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let ann: StockClient;
let ben: StockClient;
beforeAll(async () => {
  server = await startServer({ PARLEY_HEADS_POLL_MS: '100' });
  ann = await connectStock(server.url, await tokenOf('ann'));
  ben = await connectStock(server.url, await tokenOf('ben', { name: 'Ben' }));
});
afterAll(async () => {
  for (const client of [ann, ben]) client?.close();
  await server?.stop();
});

/** Ann's channel. */
async function channel(room: string): Promise<string> {
  await ann.ok('room:create', { kind: 'channel', name: room, id: room });
  return room;
}

const rights = (action: Parameters<typeof rightsOf>[0]) => server.database.sql`${rightsOf(action)}::text::jsonb`;

const bodies = (client: StockClient, room: string): unknown[] =>
  client.received('message').flatMap((message) => (message.room === room ? [message.body] : []));

const tellings = (client: StockClient, room: string) =>
  client.received('member').filter((member) => member.room === room && member.user === 'ben');

describe('connected users of a server without Redis learn from Postgres', () => {
  it('that they were joined, and get the events of the room from then on', async () => {
    const room = await channel('joined');
    await ann.ok('message:send', text(room, 'before'));
    const { sql } = server.database;
    const [row] = await sql`select join_room(${room}, 'ben', 100, 100, ${rights('join')}) as outcome`;
    expect(row).toEqual({ outcome: 'joined' });
    expect(await ben.event('member', (member) => member.room === room)).toMatchObject({
      user: 'ben',
      name: 'Ben',
      change: 'joined',
      summary: { id: room, role: 'member', rev: 1 },
    });
    await ann.ok('message:send', text(room, 'after'));
    await until('it comes', () => bodies(ben, room).length > 0);
    expect(bodies(ben, room)).toEqual(['after']);
    expect(tellings(ben, room)).toHaveLength(1);
  });

  it('that they were banned, and get no more events', async () => {
    const room = await channel('banned');
    await ben.ok('room:join', { room });
    const { sql } = server.database;
    await sql`select from ban_user(${room}, 'ann', 'ben', null, 100, ${rights('ban')})`;
    expect(await ben.event('member', (member) => member.room === room && member.role === null)).toMatchObject({
      user: 'ben',
      change: 'left',
    });
    expect(await ben.error('signal', { room, name: 'x' })).toMatchObject({ code: 'not_member' });
    await ann.ok('message:send', text(room, 'not for ben'));
    await until('it comes', () => bodies(ann, room).length > 0);
    await ben.ok('room:list', {});
    expect(bodies(ben, room)).toEqual([]);
  });

  it('of a role and a mute, which hold', async () => {
    const room = await channel('roles');
    await ben.ok('room:join', { room });
    const { sql } = server.database;
    // a poll may read the join once more, with the present role
    await sql.begin(async (tx) => {
      await tx`insert into membership_changes (room_id, user_id) values (${room}, 'ben')`;
      await tx`select set_role(${room}, 'ann', 'ben', 'admin', ${rights('role')})`;
    });
    await ben.event('member', (member) => member.room === room && member.role === 'admin');
    await sql`select mute_member(${room}, 'ann', 'ben', 'infinity', ${rights('mute')})`;
    await ben.event('member', (member) => member.room === room && member.until === null);
    expect(await ben.error('signal', { room, name: 'x' })).toMatchObject({ code: 'forbidden' });
  });

  it('of settings of a room, once', async () => {
    const room = await channel('settings');
    await ben.ok('room:join', { room });
    const { sql } = server.database;
    await sql`
      with done as materialized (select update_room(${room}, 'ann', '{"topic":"Doors"}', ${rights('update')}))
      insert into room_changes (room_id, change, changed_by) select ${room}, 'updated', 'ann' from done`;
    expect(await ben.event('room', (event) => event.room === room)).toMatchObject({
      change: 'updated',
      by: 'ann',
      state: { topic: 'Doors' },
    });
    // this server has published the change: Postgres has nothing new
    await ann.ok('room:archive', { room });
    // the second poll begins after the poll that read the archiving
    for (const role of ['admin', 'member']) {
      await sql`select set_role(${room}, 'ann', 'ben', ${role}, ${rights('role')})`;
      await ben.event('member', (member) => member.room === room && member.change === 'role' && member.role === role);
    }
    expect(ben.received('room').flatMap((event) => (event.room === room ? [event.change] : []))).toEqual([
      'updated',
      'archived',
    ]);
  });

  it('of rooms and messages that `parley import` brings', async () => {
    const elsewhere = await createTestDatabase();
    try {
      for (const room of ['new', 'known']) {
        await makeRoom(elsewhere.sql, room, 'ann', 'ben');
        const { writer } = createWriter(elsewhere.sql);
        await writer.send(send(room, 'ann', 'imported'));
        await writer.stop();
      }
      await ben.ok('room:create', { kind: 'group', name: 'known', id: 'known' });
      let lines = '';
      await exportRooms(elsewhere.sql, { room: undefined, since: undefined }, (part) =>
        Promise.resolve(void (lines += part)),
      );
      async function* file(): AsyncGenerator<string> {
        yield await Promise.resolve(lines);
      }
      await importLines(server.database.sql, file());
      await ben.event('member', (member) => member.room === 'new' && member.summary !== undefined);
      await ann.event('member', (member) => member.room === 'new' && member.summary !== undefined);
      // ben had the room before the import; this server decides on its members, so the file does not add ann
      await until('the client gets behind', () => ben.received('behind').some(({ room }) => room === 'known'));
      const { rooms } = await ben.ok('sync', { cursors: { new: 0, known: 0 } });
      expect(rooms['new']?.messages.map(({ body }) => body)).toEqual(['imported']);
      expect(rooms['known']?.reset).toBe(true);
      expect((await ben.ok('history', { room: 'known' })).messages.map(({ body }) => body)).toEqual(['imported']);
    } finally {
      await elsewhere.drop();
    }
  });
});
