/** The states of one stream, with reads that a test answers in its own time, and a clock that it moves. */
import { expect, it } from 'vitest';
import { LineQueue } from '../../../src/api/streams/line-queue.ts';
import { RoomStream, type StreamStart } from '../../../src/api/streams/room-stream.ts';
import { SentMessages } from '../../../src/api/streams/sent-messages.ts';
import type { Row, RowPage } from '../../../src/api/streams/stream-reads.ts';
import type { StreamEnd } from '../../../src/api/streams/stream-end.ts';
import { ParleyError } from '../../../src/protocol/errors.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { until } from '../../support/until.ts';

const row = (seq: number, rev = seq): Row => ({ seq, rev, json: JSON.stringify({ seq }) });
const page = (rows: readonly Row[], rev: number, more = false): RowPage => ({
  rows,
  rev,
  more,
  reset: false,
  epoch: 'e',
});
const event = (rev: number, seq?: number) => ({
  rev,
  seq,
  line: Buffer.from(`{"type":"${seq === undefined ? 'change' : 'message'}","rev":${rev}}\n`),
});

type Read = {
  readonly of: string;
  readonly answer: (page: RowPage | undefined) => void;
  readonly fail: (error: unknown) => void;
};

function opened(start: Partial<StreamStart> = {}, maxBufferBytes = 1000) {
  const clock = new ManualClock();
  const reads: Read[] = [];
  const ends: StreamEnd[] = [];
  const faults: unknown[] = [];
  let behind = 0;
  const wait = <T>(of: string): Promise<T> =>
    new Promise((resolve, reject) => {
      reads.push({ of, answer: (answer) => resolve(answer as T), fail: reject });
    });
  const stream = new RoomStream(
    { after: undefined, rev: undefined, ...start },
    {
      user: 'ann',
      room: 'hall',
      reads: { history: (after) => wait(`history ${after}`), changes: (rev) => wait(`changes ${rev}`) },
      maxBufferBytes,
      noteHead: () => undefined,
      clock,
      fellBehind: () => void behind++,
      unfollow: () => undefined,
      closed: (_, reason) => void ends.push(reason),
      failed: (error) => void faults.push(error),
    },
  );
  const iterator = stream[Symbol.asyncIterator]();
  /** The types, and revs or codes, of the lines of the next part. */
  const next = async (): Promise<string[]> => {
    const { done, value } = await iterator.next();
    if (done === true) return ['done'];
    return linesOf(value);
  };
  const read = (n: number): Promise<Read> => until(`read ${n} begins`, () => reads[n]);
  return { stream, clock, reads, read, ends, faults, iterator, next, behind: () => behind };
}

function linesOf(part: Uint8Array | string): string[] {
  return Buffer.from(part)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { type, rev, code } = JSON.parse(line) as { type: string; rev: number; code?: string };
      return code === undefined ? `${type} ${rev}` : `${type} ${code} ${rev}`;
    });
}

it('sends events that came during the read after it, and those of the read once', async () => {
  const { stream, read, next } = opened({ after: 0 });
  const begun = stream.begin();
  stream.deliver(event(2, 2));
  stream.deliver(event(3, 3));
  (await read(0)).answer(page([row(1), row(2)], 2));
  await begun;
  stream.deliver(event(4, 4));
  expect(await next()).toEqual(['message 1', 'message 2', 'heartbeat 2', 'message 3', 'message 4']);
});

it('reads again where the changes end before the history that was sent, as on a node that lags', async () => {
  const { stream, clock, read, next } = opened({ after: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1)], 1, true));
  await begun;
  expect(await next()).toEqual(['message 1']);
  const more = next();
  (await read(1)).answer(page([row(2), row(3)], 3));
  expect(await more).toEqual(['message 2', 'message 3']);
  const live = next();
  // the node has no event after rev 2 yet, while Postgres had one
  (await read(2)).answer(page([row(2)], 2));
  await clock.pass(100);
  stream.deliver(event(3, 3));
  (await read(3)).answer(page([row(3)], 3));
  expect(await live).toEqual(['heartbeat 3']);
});

it('reads the changes that were made between two pages of the history', async () => {
  const { stream, read, next } = opened({ after: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1), row(2)], 5, true));
  await begun;
  expect(await next()).toEqual(['message 1', 'message 2']);
  const second = next();
  const history = await read(1);
  expect(history.of).toBe('history 2');
  stream.deliver(event(6, 4));
  // message 1 was edited (rev 7) after the first page; message 4 is on the second one
  history.answer(page([row(3), row(4, 6)], 7));
  expect(await second).toEqual(['message 3', 'message 6']);
  const third = next();
  const changes = await read(2);
  expect(changes.of).toBe('changes 5');
  stream.deliver(event(8));
  changes.answer(page([row(4, 6), row(1, 7)], 7));
  expect(await third).toEqual(['updated 7', 'heartbeat 7', 'change 8']);
});

it('reads the changes after a gap in the revs', async () => {
  const { stream, read, next, behind } = opened({ after: 2, rev: 2 });
  const begun = stream.begin();
  (await read(0)).answer(page([], 2));
  await begun;
  expect(await next()).toEqual(['heartbeat 2']);
  stream.deliver(event(4, 4));
  stream.deliver(event(5, 5));
  expect(behind()).toBe(1);
  const rest = next();
  const changes = await read(1);
  expect(changes.of).toBe('changes 2');
  changes.answer(page([row(3), row(4), row(5)], 5));
  expect(await rest).toEqual(['message 3', 'message 4', 'message 5', 'heartbeat 5']);
});

it('reads the changes when the reader has taken the buffer, after more than the buffer takes', async () => {
  const { stream, read, reads, next, behind } = opened({ after: 2, rev: 2 }, 100);
  const begun = stream.begin();
  (await read(0)).answer(page([], 2));
  await begun;
  expect(await next()).toEqual(['heartbeat 2']);
  for (let rev = 3; rev < 10; rev++) stream.deliver(event(rev, rev));
  expect([behind(), reads.length]).toEqual([1, 1]);
  // three lines fit into the buffer
  expect(await next()).toEqual(['message 3', 'message 4', 'message 5']);
  const rest = next();
  const changes = await read(1);
  expect(changes.of).toBe('changes 5');
  changes.answer(page([row(6), row(7), row(8), row(9)], 9));
  expect(await rest).toEqual(['message 6', 'message 7', 'message 8', 'message 9', 'heartbeat 9']);
});

it('drops the events of a read when too many wait, and reads again', async () => {
  const { stream, read, next } = opened({ after: 0 });
  const begun = stream.begin();
  for (let rev = 2; rev < 60; rev++) stream.deliver(event(rev, rev));
  (await read(0)).answer(page([row(1)], 1));
  await begun;
  expect(await next()).toEqual(['message 1']);
  const rest = next();
  (await read(1)).answer(page([row(2)], 59));
  expect(await rest).toEqual(['message 2', 'heartbeat 59']);
});

it('tries again while the database is unavailable, with heartbeats meanwhile', async () => {
  const { stream, clock, read, reads, next, iterator } = opened({ after: 0, rev: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1)], 1, true));
  await begun;
  expect(await next()).toEqual(['message 1']);
  const rest = next();
  (await read(1)).fail(new ParleyError('unavailable'));
  await clock.pass(200);
  stream.heartbeat();
  expect(await rest).toEqual(['heartbeat 1']);
  const later = next();
  expect(reads).toHaveLength(2);
  await clock.pass(50);
  (await read(2)).answer(page([row(2)], 2));
  expect(await later).toEqual(['message 2', 'heartbeat 2']);
  await iterator.return?.();
});

it.each([
  [new ParleyError('draining'), 'draining', 0],
  [new ParleyError('not_member'), 'not_member', 0],
  [new TypeError('a fault'), 'internal', 1],
])('ends at %s', async (error, code, reported) => {
  const { stream, read, next, ends, faults } = opened({ after: 0, rev: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1)], 1, true));
  await begun;
  await next();
  const rest = next();
  (await read(1)).fail(error);
  expect(await rest).toEqual([`end ${code} 1`]);
  expect(await next()).toEqual(['done']);
  expect([ends, faults.length]).toEqual([[code], reported]);
});

it('sends nothing but the last line after its end, and names the place of the last part', async () => {
  const { stream, read, next, ends } = opened({ after: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1)], 1));
  await begun;
  expect(await next()).toEqual(['message 1', 'heartbeat 1']);
  stream.deliver(event(2, 2));
  stream.end('not_member');
  stream.deliver(event(3, 3));
  expect(await next()).toEqual(['end not_member 1']);
  expect(await next()).toEqual(['done']);
  expect(ends).toEqual(['not_member']);
});

it('counts a reader that is cut off once, and a client that has gone as closed', async () => {
  for (const cut of [true, false]) {
    const { stream, read, next, ends, iterator } = opened({ after: 0 });
    const begun = stream.begin();
    (await read(0)).answer(page([row(1)], 1));
    await begun;
    await next();
    const stopped = iterator.return?.();
    if (cut) expect(linesOf(stream.lastPart())).toEqual(['end slow_consumer 1']);
    await stopped;
    await until('the stream is closed', () => ends.length > 0);
    expect(ends).toEqual([cut ? 'slow_consumer' : 'closed']);
  }
});

it('gives the client its heartbeat only while nothing waits', async () => {
  const { stream, clock, read, next } = opened({ after: 0 });
  const begun = stream.begin();
  (await read(0)).answer(page([row(1)], 1));
  await begun;
  await clock.pass(20_000);
  stream.heartbeat();
  expect(await next()).toEqual(['message 1', 'heartbeat 1']);
  expect(stream.tookAt).toBe(20_000);
  const rest = next();
  stream.heartbeat();
  expect(await rest).toEqual(['heartbeat 1']);
});

it('knows which messages were sent, in whatever order their last changes come', () => {
  const sent = new SentMessages(2);
  expect([row(4, 5), row(3, 6), row(2, 7), row(4, 8), row(7, 9)].map((one) => sent.note(one))).toEqual([
    'message',
    'message',
    'updated',
    'updated',
    'message',
  ]);
  expect(sent.upTo).toBe(4);
  sent.allSent();
  expect(sent.upTo).toBe(7);
});

it('leaves out states that a page of the history had', () => {
  const sent = new SentMessages(0);
  for (const [seq, rev] of [
    [2, 10],
    [4, 12],
    [6, 12],
  ] as const) {
    sent.sentUpTo(seq);
    sent.page(rev);
  }
  expect([row(1, 10), row(2, 11), row(3, 12), row(6, 12), row(6, 13)].map((one) => sent.note(one))).toEqual([
    undefined,
    'updated',
    undefined,
    undefined,
    'updated',
  ]);
});

it('cuts parts between lines, and knows the place after a cut', () => {
  const queue = new LineQueue();
  const line = (bytes: number, seq: number): void => queue.push(Buffer.alloc(bytes, 'x'), { rev: seq, seq });
  line(10_000, 1);
  line(6000, 2);
  line(6000, 3);
  line(20_000, 4);
  expect([queue.take().byteLength, queue.reached()]).toEqual([16_000, { position: { rev: 2, seq: 2 }, isWhole: true }]);
  queue.taken();
  expect(queue.take().byteLength).toBe(6000);
  queue.taken();
  expect([queue.take().byteLength, queue.reached()]).toEqual([
    20_000,
    { position: { rev: 3, seq: 3 }, isWhole: false },
  ]);
  queue.taken();
  expect([queue.reached(), queue.size, queue.bytes]).toEqual([{ position: { rev: 4, seq: 4 }, isWhole: true }, 0, 0]);
});
