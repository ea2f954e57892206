/** Streams of rooms over a started server. */
import { expect, it, onTestFinished } from 'vitest';
import { stage } from '../../stage.ts';
import { total } from '../../support/metrics.ts';
import { startServer, tokenOf } from '../../support/server.ts';
import { until } from '../../support/until.ts';
import { startNode, wanted } from '../keys/nodes.ts';
import { openStream } from './ndjson.ts';

const config = { PARLEY_MAX_STREAMS: '6', PARLEY_MAX_STREAMS_PER_CALLER: '3', PARLEY_STREAM_HEARTBEAT_MS: '400' };
const { server, people, room, say } = await stage({ people: ['owner', 'ann', 'ben', 'stranger'], config });
const { owner } = people;
const follow = (id: string, query = ''): string => `/rooms/${id}/messages?follow=true${query}`;
const open = (id: string, query = '', user = 'ann') => openStream(server.url, follow(id, query), { user });
const streams = async (): Promise<number | undefined> => (await server.metrics()).get('parley_streams');
const gone = (): Promise<unknown> => until('no stream is open', async () => (await streams()) === 0);

it('sends the history after a seq, and then each change as it happens', async () => {
  const id = await room();
  for (let n = 1; n <= 5; n++) await say('owner', id, `m${n}`);
  const stream = await open(id, '&after=2');
  expect(stream).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-ndjson' } });
  expect(await stream.line('heartbeat')).toEqual({ type: 'heartbeat', rev: 5, seq: 5 });
  expect(stream.seqs()).toEqual([3, 4, 5]);
  await say('owner', id, 'm6');
  await owner.ok('message:edit', { room: id, seq: 1, body: { text: 'edited' } });
  await owner.ok('reaction:add', { room: id, seq: 6, emoji: '👍' });
  await owner.ok('message:pin', { room: id, seq: 6 });
  await owner.ok('message:delete', { room: id, seq: 3 });
  await stream.line('deleted');
  expect(stream.lines.filter(({ type }) => type !== 'heartbeat').slice(3)).toMatchObject([
    { type: 'message', rev: 6, message: { seq: 6, body: { text: 'm6' } } },
    { type: 'updated', rev: 7, message: { seq: 1, body: { text: 'edited' } } },
    { type: 'reaction', rev: 8, change: { seq: 6, emoji: '👍', count: 1 } },
    { type: 'pin', rev: 9, change: { seq: 6, change: 'add' } },
    { type: 'deleted', rev: 10, change: { seq: 3, by: 'owner' } },
  ]);
  stream.abort();
  await gone();
});

it('begins with the next event without `after`, and resumes with the changes after a rev', async () => {
  const id = await room();
  await say('owner', id, 'm1');
  await say('owner', id, 'm2');
  const fresh = await open(id);
  expect(await fresh.line('heartbeat')).toMatchObject({ rev: 2, seq: 2 });
  await say('owner', id, 'm3');
  await fresh.line('message');
  expect(fresh.seqs()).toEqual([3]);
  fresh.abort();
  await owner.ok('message:edit', { room: id, seq: 1, body: { text: 'later' } });
  await say('owner', id, 'm4');
  const resumed = await open(id, '&after=3&rev=3');
  await resumed.line('heartbeat');
  expect(resumed.lines.slice(0, 2)).toMatchObject([
    { type: 'updated', rev: 4, message: { seq: 1, body: { text: 'later' } } },
    { type: 'message', rev: 5, message: { seq: 4 } },
  ]);
  resumed.abort();
  await gone();
});

it('sends a heartbeat with the reached place after each silence', async () => {
  const id = await room();
  await say('owner', id, 'm1');
  const stream = await open(id);
  expect(await stream.line('heartbeat', 4)).toEqual({ type: 'heartbeat', rev: 1, seq: 1 });
  stream.abort();
  await gone();
});

it('answers the page without `follow`, and refuses parameters that do not go together', async () => {
  const id = await room();
  await say('owner', id, 'm1');
  const page = await openStream(server.url, `/rooms/${id}/messages?after=0`);
  await until('the page is there', () => page.over());
  expect(JSON.parse(page.text())).toMatchObject({ items: [{ seq: 1 }], hasMore: false });
  for (const [query, pointer] of [
    ['follow=true&before=3', '/before'],
    ['follow=true&fields=seq', '/fields'],
    ['rev=3', '/rev'],
    ['follow=maybe', '/follow'],
  ] as const) {
    const refused = await openStream(server.url, `/rooms/${id}/messages?${query}`);
    await until('the problem is there', () => refused.over());
    expect([refused.status, JSON.parse(refused.text())]).toMatchObject([400, { errors: [{ pointer }] }]);
  }
  expect(await streams()).toBe(0);
});

it.each(['', '&after=0', '&rev=0'])('refuses users outside of the room: %s', async (query) => {
  const id = await room();
  const hidden = await open(id, query, 'stranger');
  expect(hidden.status).toBe(404);
  const none = await open('no-such-room', query);
  expect(none.status).toBe(404);
  const anonymous = await openStream(server.url, follow(id, query), { token: 'wrong' });
  expect(anonymous.status).toBe(401);
  expect(await streams()).toBe(0);
});

it('leaves no stream behind a HEAD', async () => {
  const id = await room();
  const response = await fetch(`${server.url}/api/v1${follow(id)}`, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${await tokenOf('ann')}` },
  });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
  await gone();
});

it('ends when the member is removed, and sends nothing after it', async () => {
  const id = await room();
  const stream = await open(id, '&after=0', 'ben');
  const other = await open(id, '&after=0');
  await stream.line('heartbeat');
  await say('owner', id, 'm1');
  await stream.line('message');
  await owner.ok('room:remove', { room: id, user: 'ben' });
  await say('owner', id, 'm2');
  expect(await stream.end()).toMatchObject({ code: 'not_member', after: 1, rev: 1 });
  expect(stream.seqs()).toEqual([1]);
  await other.line('message', 2);
  await owner.ok('room:delete', { room: id });
  expect(await other.end()).toMatchObject({ code: 'not_found', after: 2 });
  await gone();
});

it('ends soon after the end of its token', async () => {
  const id = await room();
  const token = await tokenOf('ann', { ttlSeconds: 2 });
  const expiring = await openStream(server.url, follow(id), { token });
  expect(await expiring.end()).toMatchObject({ code: 'token_expired' });
  const revoked = await open(id, '', 'ben');
  await revoked.line('heartbeat');
  const ended = await fetch(`${server.url}/api/v1/auth/sessions`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${await tokenOf('ben')}` },
  });
  const from = performance.now();
  expect(ended.ok).toBe(true);
  expect(await revoked.end()).toMatchObject({ code: 'session_revoked' });
  // the node checks sessions each second, and sends a heartbeat each 15 s
  expect(performance.now() - from).toBeLessThan(10_000);
  await gone();
});

it('serves API keys, and ends when the key is revoked', async () => {
  const id = await room();
  const node = await startNode(server.database.url);
  onTestFinished(() => node.stop());
  const { keys } = node;
  const { key, text: token } = await keys.create(wanted({ scopes: ['messages:read'], rooms: [id] }));
  const other = await openStream(server.url, follow(await room()), { token });
  expect(other.status).toBe(403);
  const stream = await openStream(server.url, follow(id, '&after=0'), { token });
  await stream.line('heartbeat');
  await say('owner', id, 'm1');
  await stream.line('message');
  await keys.revoke({ id: key.id });
  const from = performance.now();
  expect(await stream.end()).toMatchObject({ code: 'session_revoked', after: 1, rev: 1 });
  expect(performance.now() - from).toBeLessThan(10_000);
  await gone();
});

it('refuses a stream over the limit of the caller, and over that of the node', async () => {
  const id = await room();
  const of = (user: string) => Promise.all([1, 2, 3].map(() => open(id, '', user)));
  const held = [...(await of('owner')), ...(await of('ann'))];
  expect(held.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  const overNode = await open(id, '', 'owner');
  expect([overNode.status, overNode.headers['retry-after']]).toEqual([503, '5']);
  held[0]?.abort();
  await until('a stream is closed', async () => (await streams()) === 5);
  const overCaller = await open(id, '', 'ann');
  await until('the problem is there', () => overCaller.over());
  expect([overCaller.status, JSON.parse(overCaller.text())]).toMatchObject([409, { code: 'limit_reached' }]);
  const metrics = await server.metrics();
  expect(metrics.get('parley_streams_refused_total{limit="node"}')).toBe(1);
  expect(metrics.get('parley_streams_refused_total{limit="caller"}')).toBe(1);
  for (const stream of held) stream.abort();
  await gone();
});

it('ends with `reset` at a place of another epoch', async () => {
  const id = await room();
  const stream = await open(id, `&after=0&epoch=${crypto.randomUUID()}`);
  await until('the answer ends', () => stream.over());
  expect([stream.status, stream.lines.map((line) => line.type)]).toEqual([200, ['end']]);
  await gone();
});

it('counts every end by its reason', async () => {
  const metrics = await server.metrics();
  expect(total(metrics, 'parley_streams_opened_total')).toBe(total(metrics, 'parley_streams_ended_total'));
  expect(metrics.get('parley_streams_ended_total{reason="closed"}')).toBeGreaterThan(0);
});

it('answers the changes of a room after a rev, in pages', async () => {
  const id = await room();
  for (let n = 1; n <= 5; n++) await say('owner', id, `m${n}`);
  await owner.ok('message:edit', { room: id, seq: 2, body: { text: 'edited' } });
  const get = async (query: string, user = 'ann') => {
    const authorization = `Bearer ${await tokenOf(user)}`;
    const response = await fetch(`${server.url}/api/v1/rooms/${id}/changes?${query}`, { headers: { authorization } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const first = await get('after=1&limit=3');
  expect(first).toMatchObject({
    status: 200,
    body: { items: [{ seq: 3 }, { seq: 4 }, { seq: 5 }], hasMore: true, rev: 5 },
  });
  const last = await get(`limit=3&cursor=${String(first.body['next'])}`);
  expect(last.body).toMatchObject({
    items: [{ seq: 2, body: { text: 'edited' } }],
    hasMore: false,
    next: null,
    rev: 6,
  });
  expect(Object.keys(last.body).toSorted()).toEqual(['epoch', 'hasMore', 'items', 'next', 'rev']);
  expect((await get('after=99')).body).toMatchObject({ items: [], reset: true, rev: 6, hasMore: false });
  expect(await get('after=0', 'stranger')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  expect((await get('limit=3')).status).toBe(400);
});

it('ends with `reset` when the database goes back in time', async () => {
  const lone = await startServer({ PARLEY_DRAIN_MS: '0', PARLEY_API_TIERS: 'off', PARLEY_HEADS_POLL_MS: '200' });
  onTestFinished(() => lone.stop());
  await createHall(lone.url);
  for (let n = 0; n < 3; n++) await send(lone.url, 'hall');
  const stream = await openStream(lone.url, follow('hall', '&after=0'));
  await stream.line('heartbeat');
  await lone.database.sql.begin(async (tx) => {
    await tx`delete from messages where room_id = 'hall' and seq > 1`;
    await tx`update rooms set last_seq = 1, last_rev = 1 where id = 'hall'`;
  });
  expect(await stream.end()).toMatchObject({ code: 'reset' });
});

it('drains: each stream gets a last line, and a new one is refused', async () => {
  const lone = await startServer({ PARLEY_DRAIN_MS: '0', PARLEY_API_TIERS: 'off' });
  await createHall(lone.url);
  const held = await Promise.all([1, 2, 3].map(() => openStream(lone.url, follow('hall'))));
  await Promise.all(held.map((stream) => stream.line('heartbeat')));
  const stopped = lone.stop();
  for (const stream of held) expect(await stream.end()).toMatchObject({ code: 'draining', after: 0, rev: 0 });
  await stopped;
});

async function post(url: string, path: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${await tokenOf('ann')}`, 'content-type': 'application/json' };
  const response = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.status).toBeLessThan(300);
}

function createHall(url: string): Promise<void> {
  return post(url, '/rooms', { kind: 'group', name: 'Hall', id: 'hall' });
}

function send(url: string, id: string): Promise<void> {
  return post(url, `/rooms/${id}/messages`, { id: crypto.randomUUID(), body: { text: 'x' } });
}
