/** Streams of a busy room on two nodes: each message once, in the order of revs, whatever Redis does. */
import { expect, it } from 'vitest';
import { stage } from '../../stage.ts';
import { until } from '../../support/until.ts';
import { openStream, type StreamClient } from './ndjson.ts';

const people = ['owner', 'ann', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8', 'w9'] as const;
const writers = people.filter((name) => name !== 'ann');
const { nodes, people: clients, room, connect, sql } = await stage({ people, nodes: 2 });
const [near, far] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
const follow = (id: string, after = 0): string => `/rooms/${id}/messages?follow=true&after=${after}`;
const open = (node: typeof near, id: string, after = 0) => openStream(node.url, follow(id, after));
const upTo = (count: number, from = 1): number[] => Array.from({ length: count - from + 1 }, (_, n) => from + n);

/** Each writer sends its messages one after the other; two of the ten write on the other node. */
async function write(id: string, each: number, between: (n: number) => Promise<void> = async () => {}): Promise<void> {
  const remote = new Map(
    await Promise.all(['w8', 'w9'].map(async (name) => [name, await connect(name, { node: 1 })] as const)),
  );
  await Promise.all(
    writers.map(async (name) => {
      const client = remote.get(name) ?? clients[name];
      for (let n = 0; n < each; n++) {
        const sent = await client.ok('message:send', {
          room: id,
          id: crypto.randomUUID(),
          body: { text: `${name} ${n}` },
        });
        if (n % 5 === 0) await client.ok('message:edit', { room: id, seq: sent.seq, body: { text: 'edited' } });
        if (name === 'owner') await between(n);
      }
    }),
  );
}

/** The changes of a room as a client of the stream knows them: the text of each message. */
function texts({ lines }: StreamClient): Map<number, unknown> {
  const found = new Map<number, unknown>();
  for (const line of lines) {
    if (line.type === 'message' || line.type === 'updated') found.set(line.message.seq, line.message.body);
  }
  return found;
}

async function stored(id: string): Promise<Map<number, unknown>> {
  const rows = await sql<{ seq: number; body: string }[]>`
    select seq, body::text as body from messages where room_id = ${id} order by seq`;
  return new Map(rows.map(({ seq, body }) => [seq, JSON.parse(body)]));
}

const inOrder = (values: readonly number[]): boolean =>
  values.every((value, n) => n === 0 || value > (values[n - 1] ?? 0));

async function reaches(stream: StreamClient, count: number): Promise<void> {
  const what = (): string =>
    `${count} messages come; there are ${stream.seqs().length}, and ${stream.lines.length} lines`;
  await until(what, () => stream.seqs().includes(count), 40_000);
}

async function noStreams(): Promise<boolean> {
  const counts = await Promise.all(nodes.map(async (node) => (await node.metrics()).get('parley_streams')));
  return counts.every((count) => count === 0);
}

it('follows a room that no connection of the node is in', async () => {
  const id = await room();
  const stream = await open(far, id);
  await stream.line('heartbeat');
  await clients.owner.ok('message:send', { room: id, id: crypto.randomUUID(), body: { text: 'far away' } });
  expect(await stream.line('message')).toMatchObject({ rev: 1, message: { seq: 1, body: { text: 'far away' } } });
  stream.abort();
  await until('no stream is open', noStreams);
});

it(
  'sends each message once and in order while ten users write and streams come and go',
  { timeout: 120_000 },
  async () => {
    const id = await room();
    const whole = [await open(near, id), await open(far, id)];
    const late: { stream: StreamClient; after: number }[] = [];
    await write(id, 20, async (n) => {
      const after = n * 4;
      const stream = await open(n % 2 === 0 ? near : far, id, after);
      if (n % 3 === 0) stream.abort();
      else late.push({ stream, after });
    });
    for (const { stream, after } of [...whole.map((one) => ({ stream: one, after: 0 })), ...late]) {
      await reaches(stream, 200);
      const live = stream.lines.slice(stream.lines.findIndex(({ type }) => type === 'heartbeat'));
      expect(stream.seqs().toSorted((a, b) => a - b)).toEqual(upTo(200, after + 1));
      expect(inOrder(live.flatMap((line) => (line.type === 'heartbeat' || line.type === 'end' ? [] : line.rev)))).toBe(
        true,
      );
    }
    const content = await stored(id);
    for (const stream of whole) await hasContent(stream, content);
    for (const { stream } of late) stream.abort();
    for (const stream of whole) stream.abort();
    await until('no stream is open', noStreams);
  },
);

it('repairs what Redis lost', { timeout: 120_000 }, async () => {
  const id = await room();
  const stream = await open(far, id);
  await stream.line('heartbeat');
  far.redis.cut();
  await until('the node knows that Redis is away', async () => !(await far.reach()));
  await write(id, 4);
  far.redis.restore();
  await reaches(stream, 40);
  expect(stream.seqs().toSorted((a, b) => a - b)).toEqual(upTo(40));
  const content = await stored(id);
  await hasContent(stream, content);
  stream.abort();
  await until('no stream is open', noStreams);
});

it('ends on each node before a removal is acknowledged', { timeout: 60_000 }, async () => {
  const id = await room();
  const streams = [await open(near, id), await open(far, id)];
  for (const stream of streams) await stream.line('heartbeat');
  await clients.owner.ok('room:remove', { room: id, user: 'ann' });
  await clients.owner.ok('message:send', { room: id, id: crypto.randomUUID(), body: { text: 'secret' } });
  for (const stream of streams) {
    expect(await stream.end()).toMatchObject({ code: 'not_member' });
    expect(stream.seqs()).toEqual([]);
  }
  await until('no stream is open', noStreams);
});

/** Waits until the client knows each message in its stored state. */
async function hasContent(stream: StreamClient, content: ReadonlyMap<number, unknown>): Promise<void> {
  const differing = (): unknown[] => {
    const known = texts(stream);
    return [...content].filter(([seq, body]) => JSON.stringify(known.get(seq)) !== JSON.stringify(body));
  };
  await until(
    () => `the stream has the content; ${JSON.stringify(differing())} are missing`,
    () => differing().length === 0,
    30_000,
  );
}
