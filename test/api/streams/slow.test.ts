/** Streams whose readers are slow, and streams that are silent for longer than uWebSockets.js keeps idle connections. */
import { expect, it } from 'vitest';
import { stage } from '../../stage.ts';
import { until } from '../../support/until.ts';
import { openStream } from './ndjson.ts';

// an idle connection of uWebSockets.js is closed after 10 s
const config = { PARLEY_STREAM_HEARTBEAT_MS: '14000', PARLEY_MAX_STREAM_BUFFER_BYTES: '65536' };
const { server, people, room, say } = await stage({ people: ['owner', 'ann'], config });
const { owner } = people;
const follow = (id: string, query = ''): string => `/rooms/${id}/messages?follow=true${query}`;
const gone = async (): Promise<boolean> => (await server.metrics()).get('parley_streams') === 0;

/** More bytes than the sockets of both sides keep. */
async function flood(id: string, from: number, count: number): Promise<void> {
  const body = { text: 'x'.repeat(15_000) };
  for (let n = from; n < from + count; n += 20) {
    const batch = Array.from({ length: 20 }, () =>
      owner.ok('message:send', { room: id, id: crypto.randomUUID(), body }),
    );
    await Promise.all(batch);
  }
}

it('cuts a reader that takes nothing, with a line that says where to resume', { timeout: 120_000 }, async () => {
  const id = await room();
  await flood(id, 1, 1000);
  const slow = await openStream(server.url, follow(id, '&after=0'), { paused: true });
  await until('the stream is cut', gone, 60_000);
  expect((await server.metrics()).get('parley_streams_ended_total{reason="slow_consumer"}')).toBe(1);
  slow.resume();
  const { code, after } = await slow.end();
  expect(code).toBe('slow_consumer');
  const had = slow.seqs().filter((seq) => seq <= after);
  expect(had).toEqual(Array.from({ length: after }, (_, n) => n + 1));
  const resumed = await openStream(server.url, follow(id, `&after=${after}`));
  await resumed.line('heartbeat');
  expect(resumed.seqs()).toEqual(Array.from({ length: 1000 - after }, (_, n) => after + n + 1));
  resumed.abort();
  await until('no stream is open', gone);
});

it('falls behind with a reader that pauses, and misses nothing', { timeout: 120_000 }, async () => {
  const id = await room();
  const stream = await openStream(server.url, follow(id, '&after=0'));
  await stream.line('heartbeat');
  stream.pause();
  await flood(id, 1, 600);
  stream.resume();
  await stream.line('message', 600);
  expect(stream.seqs()).toEqual(Array.from({ length: 600 }, (_, n) => n + 1));
  expect((await server.metrics()).get('parley_streams_behind_total')).toBeGreaterThan(0);
  stream.abort();
  await until('no stream is open', gone);
});

it('stays open through a silence, and sends a heartbeat', { timeout: 60_000 }, async () => {
  const id = await room();
  await say('owner', id, 'm1');
  const stream = await openStream(server.url, follow(id));
  await stream.line('heartbeat', 2);
  await say('owner', id, 'm2');
  await stream.line('message');
  expect(stream.seqs()).toEqual([2]);
  stream.abort();
  await until('no stream is open', gone);
});
