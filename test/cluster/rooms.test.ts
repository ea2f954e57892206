/** Changes of rooms and members on one node reach the other: at once over Redis, and through Postgres while Redis is down. */
import { describe, expect, it } from 'vitest';
import { stage, type Stage } from '../stage.ts';
import { bodiesReceived } from '../support/cluster.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let cluster: Stage<'ann'>;

interface Party {
  readonly ann: StockClient;
  /** On both nodes. */
  readonly ben: readonly [StockClient, StockClient];
  readonly cid: StockClient;
}

/** Ann's channel `hall` with Ben and Cid. Anti-entropy is too rare to help while Redis is well. */
async function hall(): Promise<Party> {
  cluster = await stage({ people: ['ann'], nodes: 2, config: { PARLEY_HEADS_POLL_MS: '600000' } });
  const { ann } = cluster.people;
  const ben = [await cluster.connect('ben'), await cluster.connect('ben', { node: 1 })] as const;
  const cid = await cluster.connect('cid', { node: 1 });
  await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  for (const client of [ben[0], cid]) await client.ok('room:join', { room: 'hall' });
  await ben[1].event('member', (m) => m.user === 'ben' && m.change === 'joined');
  return { ann, ben, cid };
}

const unreachable = (node: number, is: boolean): Promise<unknown> =>
  until(
    `node ${node} ${is ? 'is unreachable' : 'is reachable'}`,
    async () => (await cluster.nodes[node]?.reach()) === !is,
  );

async function cutOff(node: number): Promise<void> {
  cluster.nodes[node]?.redis.cut();
  await unreachable(node, true);
}

describe('with Redis', () => {
  it.each([
    ['room:remove', 'removed'],
    ['room:ban', 'banned'],
  ] as const)('%s cuts every connection off before anything else comes', async (command, change) => {
    const { ann, ben, cid } = await hall();
    await ann.ok(command, { room: 'hall', user: 'ben' });
    await ann.ok('message:send', text('hall', 'not for ben'));
    expect(await bodiesReceived(cid, 'hall', 1)).toEqual(['not for ben']);
    for (const client of ben) {
      expect(await client.event('member', (m) => m.role === null)).toMatchObject({ user: 'ben', change, by: 'ann' });
      expect(await client.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'not_member' });
      expect(client.received('message')).toEqual([]);
      expect(client.received('member').filter((m) => m.role === null)).toHaveLength(1);
    }
    expect((await ben[1].error('room:join', { room: 'hall' }).catch(() => ({ code: 'ok' }))).code).toBe(
      command === 'room:ban' ? 'forbidden' : 'ok',
    );
  });

  it('a mute and its end hold for signals on the other node at once', async () => {
    const { ann, ben } = await hall();
    await ann.ok('room:mute', { room: 'hall', user: 'ben' });
    await ben[1].event('member', (m) => m.change === 'muted');
    for (const client of ben) {
      expect(await client.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'forbidden' });
    }
    await ann.ok('room:role', { room: 'hall', user: 'ben', role: 'guest' });
    await ann.ok('room:role', { room: 'hall', user: 'ben', role: 'member' });
    await ben[1].event('member', (m) => m.change === 'role' && m.role === 'member');
    expect(await ben[1].error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('room:unmute', { room: 'hall', user: 'ben' });
    await ben[1].event('member', (m) => m.change === 'unmuted');
    await ben[1].ok('signal', { room: 'hall', name: 'x' });
  });

  it('settings, an invitation and its answer reach the other node', async () => {
    const { ann, cid } = await hall();
    await ann.ok('room:update', { room: 'hall', topic: 'Doors', senders: 'admins' });
    const state = { id: 'hall', kind: 'channel', name: 'Hall', topic: 'Doors', senders: 'admins' };
    expect(await cid.event('room')).toEqual({ room: 'hall', change: 'updated', by: 'ann', state });
    await ann.ok('room:create', { kind: 'group', name: 'Few', id: 'few' });
    await ann.ok('invitation:create', { room: 'few', user: 'cid' });
    await cid.event('invitation', (data) => data.change === 'created');
    await cid.ok('invitation:accept', { room: 'few' });
    await ann.event('invitation', (data) => data.change === 'accepted');
    await ann.ok('message:send', text('few', 'welcome'));
    expect(await bodiesReceived(cid, 'few', 1)).toEqual(['welcome']);
  });

  it('a deleted room is left by every connection of every node at once', async () => {
    const { ann, ben, cid } = await hall();
    await cid.ok('message:send', text('hall', 'last words'));
    await ann.ok('room:delete', { room: 'hall' });
    for (const client of [ann, ...ben, cid]) {
      expect(await client.event('room')).toEqual({ room: 'hall', change: 'deleted', by: 'ann' });
      expect(await client.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'not_member' });
    }
    await until('its rows are gone', async () => {
      const rows = await cluster.sql`select from deleted_rooms where purged_at is not null`;
      return rows.length === 1;
    });
    for (const client of [ann, ...ben, cid]) {
      expect(client.received('room')).toHaveLength(1);
      expect(client.received('member').filter((m) => m.role === null)).toEqual([]);
    }
  });
});

describe('on a node that Redis does not reach', () => {
  it('connections get each removal, role and mute once', async () => {
    const { ann, ben, cid } = await hall();
    await cutOff(1);
    await ann.ok('room:invite', { room: 'hall', user: 'cid', role: 'admin' });
    expect(await cid.event('member', (m) => m.change === 'role')).toMatchObject({ user: 'cid', role: 'admin' });
    // from admin to member: the node enforces nothing new, and the user gets the event
    await ann.ok('room:role', { room: 'hall', user: 'cid', role: 'member' });
    await cid.event('member', (m) => m.user === 'cid' && m.role === 'member' && m.change === 'role');
    const { until: end } = await ann.ok('room:mute', { room: 'hall', user: 'cid', seconds: 3600 });
    expect(await cid.event('member', (m) => m.until !== undefined)).toMatchObject({ user: 'cid', until: end });
    expect(await cid.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('room:unmute', { room: 'hall', user: 'cid' });
    await until('cid may signal', async () => {
      const ack = (await cid.socket.emitWithAck('signal', { room: 'hall', name: 'x' })) as { ok: boolean };
      return ack.ok;
    });
    await ann.ok('room:ban', { room: 'hall', user: 'ben' });
    expect(await ben[1].event('member', (m) => m.role === null)).toMatchObject({ user: 'ben', change: 'left' });
    cluster.nodes[1]?.redis.restore();
    await unreachable(1, false);
    await ann.ok('message:send', text('hall', 'not for ben'));
    expect(await bodiesReceived(cid, 'hall', 1)).toEqual(['not for ben']);
    expect(ben[1].received('message')).toEqual([]);
    const reported = cid.received('member').filter((m) => m.user === 'cid' && m.change === 'role');
    expect(reported.map(({ role, until: muted }) => [role, muted !== undefined])).toEqual([
      ['admin', false],
      ['member', false],
      ['member', true],
      ['member', false],
    ]);
  });

  it('connections get settings once, in their last state', async () => {
    const { ann, cid } = await hall();
    await cutOff(1);
    await ann.ok('room:update', { room: 'hall', topic: 'Doors' });
    expect(await cid.event('room')).toMatchObject({ change: 'updated', by: 'ann', state: { topic: 'Doors' } });
    await ann.ok('room:archive', { room: 'hall' });
    expect(await cid.event('room', ({ change }) => change === 'archived')).toMatchObject({ by: 'ann' });
    cluster.nodes[1]?.redis.restore();
    await unreachable(1, false);
    await ann.ok('room:unarchive', { room: 'hall' });
    await cid.event('room', ({ change }) => change === 'unarchived');
    await ann.ok('message:send', text('hall', 'open again'));
    await bodiesReceived(cid, 'hall', 1);
    expect(cid.received('room').map(({ change }) => change)).toEqual(['updated', 'archived', 'unarchived']);
  });

  it('connections leave a deleted room all the same', async () => {
    const { ann, ben, cid } = await hall();
    await cutOff(1);
    await ann.ok('room:delete', { room: 'hall' });
    await ben[0].event('room', (data) => data.change === 'deleted');
    for (const client of [ben[1], cid]) {
      await client.event('member', (m) => m.role === null);
      expect(await client.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'not_member' });
    }
    cluster.nodes[1]?.redis.restore();
    await unreachable(1, false);
  });
});
