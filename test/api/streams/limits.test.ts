/** The streams of a node by a clock that a test moves: heartbeats, checks of tokens, and the drain. */
import { expect, it } from 'vitest';
import type { RoomStream } from '../../../src/api/streams/room-stream.ts';
import type { RowPage } from '../../../src/api/streams/stream-reads.ts';
import { Streams } from '../../../src/api/streams/streams.ts';
import type { Identity as Token } from '../../../src/sessions/tokens.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { stageHub } from '../../hub/hub.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { parseMetrics } from '../../support/metrics.ts';
import { silentLog } from '../../support/messaging.ts';

const empty: RowPage = { rows: [], rev: 0, more: false, reset: false, epoch: 'e' };

function opened() {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { hub } = stageHub();
  const revoked = new Set<string>();
  const streams = new Streams({
    settings: { maxStreams: 3, maxStreamsPerCaller: 2, maxStreamBufferBytes: 1000, streamHeartbeatMs: 15_000 },
    hub,
    sessions: {
      revokedAmong: (tokens) => Promise.resolve(new Set(tokens.flatMap(({ key }, n) => (revoked.has(key) ? n : [])))),
    },
    keys: { onRevoked: () => () => undefined },
    metrics,
    log: silentLog,
    clock,
  });
  const open = async (user: string, room = 'hall') => {
    const token: Token = {
      user,
      name: null,
      tier: null,
      expires: Date.now() + 3_600_000,
      issuedAt: 0,
      key: `of ${user}`,
    };
    const caller = { user: { id: user, name: null }, tier: null, backend: false, session: undefined };
    const stream = await streams.open({
      identity: { kind: 'user', token, caller },
      user,
      room,
      reads: { history: () => Promise.resolve(empty), changes: () => Promise.resolve(empty) },
      after: undefined,
      rev: undefined,
    });
    return { stream, next: nextOf(stream) };
  };
  const metric = async (name: string): Promise<number | undefined> => parseMetrics(await metrics.text()).get(name);
  return { clock, hub, revoked, streams, open, metric };
}

function nextOf(stream: RoomStream): () => Promise<unknown> {
  const iterator = stream[Symbol.asyncIterator]();
  return async () => {
    const { done, value } = await iterator.next();
    return done === true ? 'done' : (JSON.parse(Buffer.from(value).toString()) as unknown);
  };
}

it('sends a heartbeat after 15 s of silence, and none before', async () => {
  const { clock, open } = opened();
  const { next } = await open('ann');
  expect(await next()).toEqual({ type: 'heartbeat', rev: 0, seq: 0 });
  let line: unknown;
  const waiting = next().then((found) => (line = found));
  await clock.pass(14_900);
  expect(line).toBeUndefined();
  await clock.pass(1100);
  expect(await waiting).toEqual({ type: 'heartbeat', rev: 0, seq: 0 });
});

it('ends the streams of a revoked token within a second, and frees what they held', async () => {
  const { clock, hub, revoked, open, metric } = opened();
  const ann = await open('ann');
  const ben = await open('ben');
  expect([hub.interest.has('hall'), await metric('parley_streams')]).toEqual([true, 2]);
  await Promise.all([ann.next(), ben.next()]);
  revoked.add('of ann');
  await clock.pass(1000);
  expect(await ann.next()).toMatchObject({ type: 'end', code: 'session_revoked', after: 0, rev: 0 });
  expect(await ann.next()).toBe('done');
  expect([hub.interest.has('hall'), await metric('parley_streams')]).toEqual([true, 1]);
  hub.followers.left('ben', 'hall');
  expect(hub.interest.has('hall')).toBe(false);
  expect(await ben.next()).toMatchObject({ type: 'end', code: 'not_member' });
  expect(await metric('parley_streams')).toBe(0);
});

it('spreads the ends of a drain over its window, and refuses streams meanwhile', async () => {
  const { clock, streams, open } = opened();
  const held = [await open('ann'), await open('ann'), await open('ben')];
  await expect(open('ben')).rejects.toMatchObject({ code: 'overloaded' });
  for (const { next } of held) await next();
  let drained = false;
  const draining = streams.drain(3000).then(() => (drained = true));
  await expect(open('ben')).rejects.toMatchObject({ code: 'draining' });
  await clock.pass(1500);
  expect(held.map(({ stream }) => stream.isOver)).toEqual([true, false, false]);
  await clock.pass(1600);
  expect(held.map(({ stream }) => stream.isOver)).toEqual([true, true, true]);
  expect(drained).toBe(false);
  for (const { next } of held) expect(await next()).toMatchObject({ type: 'end', code: 'draining' });
  await clock.pass(100);
  await draining;
});

it('counts the streams of each caller, and takes a new one after an end', async () => {
  const { open, metric } = opened();
  const first = await open('ann');
  await open('ann', 'other');
  await expect(open('ann')).rejects.toMatchObject({ code: 'limit_reached' });
  await first.stream[Symbol.asyncIterator]().return?.();
  await open('ann');
  expect(await metric('parley_streams_refused_total{limit="caller"}')).toBe(1);
});
