/** Clients of different nodes, one Redis that is well. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { Packr } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { codecVersion, nodeIdBytes, originOf } from '../../src/fanout/envelope-codec.ts';
import { bodiesReceived, startCluster, type Cluster } from '../support/cluster.ts';
import { total } from '../support/metrics.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const foreign = 'parley_fanout_foreign_messages_total';

describe.each([
  ['one partition', '1'],
  ['16 partitions', '16'],
])('two nodes with %s', (_name, partitions) => {
  let cluster: Cluster;
  let ann: StockClient;
  let ben: StockClient;
  /** Writes nothing: a second after a message its author's read mark moves to it by itself, past any mark set here. */
  let reader: StockClient;

  beforeAll(async () => {
    // the test is about events over Redis: anti-entropy is too rare to help
    cluster = await startCluster(2, {
      env: { PARLEY_HEADS_POLL_MS: '600000', PARLEY_FANOUT_PARTITIONS: partitions },
    });
    ann = await cluster.connect(0, 'ann');
    ben = await cluster.connect(1, 'ben');
    await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
    reader = await cluster.connect(1, 'rea');
    for (const client of [ben, reader]) await client.ok('room:join', { room: 'hall' });
  });
  afterAll(() => cluster.stop());

  it('messages of both reach both, once and in rev order, the own ones too', async () => {
    const sends = Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? ann : ben).ok('message:send', text('hall', n)));
    const sent = await Promise.all(sends);
    expect(sent.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(sent.map((__, n) => n + 1));
    for (const client of [ann, ben]) {
      await bodiesReceived(client, 'hall', 200);
      expect(client.received('message').map(({ seq }) => seq)).toEqual(sent.map((__, n) => n + 1));
    }
  });

  it('signals cross, also with binary, and do not come back to their sender', async () => {
    await ann.ok('signal', { room: 'hall', name: 'wave', data: { bytes: Buffer.from([1, 2, 255]) } });
    const { data, from } = await ben.event('signal');
    expect(from).toBe('ann');
    expect([...(data as { bytes: Buffer }).bytes]).toEqual([1, 2, 255]);
    await ben.ok('signal', { room: 'hall', name: 'back' });
    await ann.event('signal', ({ name }) => name === 'back');
    expect(ann.received('signal')).toHaveLength(1);
  });

  it('read marks cross', async () => {
    await reader.ok('read', { room: 'hall', seq: 5 });
    const mark = await ann.event('read', ({ user }) => user === 'rea');
    expect(mark).toEqual({ room: 'hall', user: 'rea', seq: 5 });
  });

  it('a room that a user joins on one node comes to their connections on the other, with its events', async () => {
    const [here, there] = [await cluster.connect(0, 'cleo'), await cluster.connect(1, 'cleo')];
    await ann.ok('room:create', { kind: 'group', name: 'Few', id: 'few' });
    await ann.ok('message:send', text('few', 'before'));
    await ann.ok('room:invite', { room: 'few', user: 'cleo', role: 'member' });
    for (const client of [here, there]) {
      const { summary } = await client.event('member', ({ user, room }) => user === 'cleo' && room === 'few');
      expect(summary).toMatchObject({ id: 'few', role: 'member', seq: 1, rev: 1 });
    }
    await ann.ok('message:send', text('few', 'after'));
    for (const client of [here, there]) {
      expect(await bodiesReceived(client, 'few', 1)).toEqual(['after']);
      expect(client.received('member').filter(({ room }) => room === 'few')).toHaveLength(1);
    }
    expect(await there.ok('signal', { room: 'few', name: 'x' })).toEqual({});
  });

  it('a role that was changed on one node holds on the other at once', async () => {
    const guest = await cluster.connect(1, 'gus');
    await ann.ok('room:invite', { room: 'hall', user: 'gus', role: 'member' });
    await guest.event('member', ({ user }) => user === 'gus');
    await guest.ok('signal', { room: 'hall', name: 'may' });
    await ann.ok('room:invite', { room: 'hall', user: 'gus', role: 'guest' });
    await guest.event('member', ({ user, change }) => user === 'gus' && change === 'role');
    expect(await guest.error('signal', { room: 'hall', name: 'may not' })).toMatchObject({ code: 'forbidden' });
  });

  it('leaving on one node cuts the topic on the other before anything else comes', async () => {
    const [here, there] = [await cluster.connect(0, 'dan'), await cluster.connect(1, 'dan')];
    await here.ok('room:join', { room: 'hall' });
    await there.event('member', ({ user }) => user === 'dan');
    await here.ok('room:leave', { room: 'hall' });
    await ann.ok('message:send', text('hall', 'not for dan'));
    await there.event('member', ({ user, change }) => user === 'dan' && change === 'left');
    await ben.event('message', ({ body }) => body === 'not for dan');
    // an answer of the node comes behind whatever it sent before
    expect(await there.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'not_member' });
    expect(there.received('message')).toEqual([]);
    expect(here.received('message')).toEqual([]);
  });

  it('nothing of that needed Postgres to be read again, and no fault was counted', async () => {
    for (const node of cluster.nodes) {
      const metrics = await node.metrics();
      expect(total(metrics, 'parley_internal_errors_total')).toBe(0);
      expect(total(metrics, 'parley_fanout_foreign_messages_total')).toBe(0);
      expect(total(metrics, 'parley_fanout_publish_failures_total')).toBe(0);
      expect(total(metrics, 'parley_outbox_relayed_total')).toBe(0);
    }
    await until('no outbox row is left', async () => {
      const rows = await cluster.database.sql`select 1 from outbox`;
      return rows.length === 0;
    });
  });

  it('events that are no JSON reach no client, and nobody is cut off by them', async () => {
    const packr = new Packr({ useRecords: false, int64AsType: 'number' });
    const { database, prefix, nodes } = cluster;
    const [row] = await database.sql<{ id: string; epoch: string }[]>`select id, epoch from installation`;
    const origin = originOf(randomBytes(nodeIdBytes), row?.id ?? '', row?.epoch ?? '');
    const redis = new Redis(inject('redisUrl'));
    const closed: string[] = [];
    for (const { socket } of [ann, ben]) socket.on('disconnect', (why) => closed.push(why));
    const rows = [
      [0, 'hall', 'typing', '{"a":', 0],
      [0, 'hall', 'x","y', '{}', 0],
      [1, 'ann', 'member', 'undefined'],
      [0, 'hall', 'signal', '{"d":{"_placeholder":true,"num":3}}', 0, '', [Buffer.from('x')]],
    ];
    const before = await Promise.all(nodes.map(async (node) => total(await node.metrics(), foreign)));
    for (const one of rows) {
      const message = Buffer.concat([Buffer.from([codecVersion]), origin, packr.pack([one])]);
      for (let n = 0; n < Number(partitions); n++) await redis.publish(`${prefix}room:${n}`, message);
      await redis.publish(`${prefix}user`, message);
    }
    await redis.quit();
    await until('they are counted', async () => {
      const counted = await Promise.all(nodes.map(async (node) => total(await node.metrics(), foreign)));
      return counted.every((count, node) => count >= (before[node] ?? 0) + rows.length * 2);
    });
    await ann.ok('message:send', text('hall', 'after them'));
    await ben.event(
      'message',
      ({ body }) => body === 'after them' || (body as { text?: string }).text === 'after them',
    );
    expect(closed).toEqual([]);
  });
});
