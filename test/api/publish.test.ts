/** `POST /publish`: over HTTP with a token, and as an API key against the parts of a node. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Publishing, type Published } from '../../src/api/publishing.ts';
import { Bodies } from '../../src/messages/bodies/bodies.ts';
import { limits } from '../../src/protocol/limits.ts';
import { publishRoutes } from '../../src/protocol/routes/publish.ts';
import { ReadMarks } from '../../src/receipts/read-marks.ts';
import { KnownUsers } from '../../src/rooms/known-users.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { MemoryCache } from '../../src/storage/cache/memory.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { MessageFiles } from '../../src/uploads/message-files.ts';
import { UploadRows } from '../../src/uploads/rows.ts';
import { stage } from '../stage.ts';
import { cacheLimits } from '../support/cache.ts';
import { createTestDatabase } from '../support/database.ts';
import { assertDense, createWriter, send, silentLog } from '../support/messaging.ts';
import { startServer, tokenOf } from '../support/server.ts';
import { connectStock } from '../support/stock-client.ts';

const { server, people, room, sql } = await stage({ people: ['owner', 'ann', 'guest', 'stranger'] });
await room();
const hall = 'stage-1';

interface Answered {
  readonly status: number;
  readonly body: { readonly results: Published[]; readonly code?: string; readonly errors?: unknown[] };
}

async function post(
  user: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
  at = server.url,
): Promise<Answered> {
  const response = await fetch(`${at}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenOf(user)}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Answered['body'] };
}

const note = (text: unknown, more: object = {}): { room: string; id: string; body: unknown } => ({
  room: hall,
  id: randomUUID(),
  body: { text },
  ...more,
});

const commits = async (): Promise<number> => (await server.metrics()).get('parley_writer_commit_seconds_count') ?? 0;

const count = async (): Promise<number> => (await sql`select from messages where room_id = ${hall}`).length;

describe('with a token', () => {
  it('stores messages of the user, each with its outcome in order', async () => {
    const messages = [
      note('one'),
      note('elsewhere', { room: 'nowhere' }),
      note('too large', { body: 'x'.repeat(limits.bodyBytes) }),
      note('of another', { sender: 'ann' }),
      note('two', { sender: 'owner' }),
    ];
    const { status, body } = await post('owner', '/publish', { messages });
    expect(status).toBe(200);
    expect(publishRoutes.publish.output.parse(body)).toEqual(body);
    expect(body.results).toMatchObject([
      { id: messages[0]?.id, seq: 1, rev: 1 },
      { error: { code: 'not_found', retryable: false } },
      { error: { code: 'too_large', retryable: false } },
      { error: { code: 'forbidden', retryable: false } },
      { id: messages[4]?.id, seq: 2, rev: 2 },
    ]);
    expect(await people.ann.event('message', ({ seq }) => seq === 2)).toMatchObject({ body: { text: 'two' } });
  });

  it('holds to the rules of message:send', async () => {
    for (const [user, code] of [
      ['guest', 'forbidden'],
      ['stranger', 'not_found'],
    ] as const) {
      const { body } = await post(user, '/publish', { messages: [note('x')] });
      expect(body.results).toMatchObject([{ error: { code } }]);
    }
  });

  it('answers the same id with the first seq, also by Idempotency-Key', async () => {
    const id = randomUUID();
    const { id: _, ...message } = note('once');
    const first = await post('owner', '/publish', { messages: [message] }, { 'idempotency-key': id.toUpperCase() });
    const again = await post('owner', '/publish', { messages: [message] }, { 'idempotency-key': id });
    const named = await post('owner', '/publish', { messages: [{ ...message, id }] });
    expect(first.body.results).toMatchObject([{ id }]);
    expect(first.body.results).not.toMatchObject([{ duplicate: true }]);
    const duplicate = { ...first.body.results[0], duplicate: true };
    expect([again.body.results, named.body.results]).toEqual([[duplicate], [duplicate]]);
    // the ack of a socket does not change
    expect(await people.owner.ok('message:send', { ...message, id })).toEqual({
      seq: expect.any(Number) as unknown,
      rev: expect.any(Number) as unknown,
      at: expect.any(Number) as unknown,
    });
  });

  it('gives each of several messages an id of its own, whatever the Idempotency-Key', async () => {
    const { id: _, ...message } = note('twice');
    const { body } = await post(
      'owner',
      '/publish',
      { messages: [message, message] },
      { 'idempotency-key': randomUUID() },
    );
    const [one, two] = body.results as { id: string; seq: number }[];
    expect(one?.id).not.toBe(two?.id);
    expect(two?.seq).toBe((one?.seq ?? 0) + 1);
  });

  it('stores the copies of a message in one request once', async () => {
    const message = note('copy');
    const { body } = await post('owner', '/publish', { messages: [message, message] });
    expect(body.results[1]).toEqual({ ...body.results[0], duplicate: true });
  });

  it('takes as many messages as may be in one or few commits, and refuses one more', async () => {
    const before = [await commits(), await count()];
    const messages = Array.from({ length: limits.publishedMessages + 1 }, (_, n) => note(n));
    const refused = await post('owner', '/publish', { messages });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ pointer: '/messages' }] } });
    expect(await count()).toBe(before[1]);
    const { body } = await post('owner', '/publish', { messages: messages.slice(1) });
    const seqs = body.results.map((result) => ('seq' in result ? result.seq : 0));
    expect(seqs).toEqual(Array.from(messages.slice(1), (_, n) => (before[1] ?? 0) + n + 1));
    expect((await commits()) - (before[0] ?? 0)).toBeLessThanOrEqual(3);
    expect(await post('owner', '/publish', { messages: [] })).toMatchObject({ status: 400 });
  });

  it('refuses a body over 4 MiB, and fields that do not exist', async () => {
    const large = JSON.stringify({ messages: [note('x')], pad: '' }).replace(
      '"pad":""',
      `"pad":"${'x'.repeat(4 << 20)}"`,
    );
    expect(await post('owner', '/publish', large)).toMatchObject({ status: 413 });
    const typo = await post('owner', '/publish', { messages: [note('x', { reply_to: 1 })] });
    expect(typo).toMatchObject({ status: 400, body: { errors: [{ pointer: '/messages/0' }] } });
  });

  it('sends no signals: these need a key', async () => {
    const signals = [{ to: { user: 'ann' }, name: 'ping' }];
    expect(await post('owner', '/signals', { signals })).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  it('stores all messages of an atomic request in one commit, in their order', async () => {
    const other = await room();
    const messages = [note('a1'), note('b1', { room: other }), note('a2'), note('b2', { room: other })];
    const { body } = await post('owner', '/publish', { messages, atomic: true });
    const [a1, b1, a2, b2] = body.results as { seq: number; at: number }[];
    expect([a2?.seq, b1?.seq, b2?.seq]).toEqual([(a1?.seq ?? 0) + 1, 1, 2]);
    expect(new Set([a1?.at, b1?.at, a2?.at, b2?.at]).size).toBe(1);
    expect(await people.ann.event('message', ({ id }) => id === messages[3]?.id)).toMatchObject({
      room: other,
      seq: 2,
    });
    const again = await post('owner', '/publish', { messages, atomic: true });
    expect(again.body.results).toEqual(body.results.map((result) => ({ ...result, duplicate: true })));
  });

  it.each([
    ['that the database refuses', { room: 'nowhere' }, 'not_found'],
    ['with a wrong body', { body: 'x'.repeat(limits.bodyBytes) }, 'too_large'],
  ])('stores nothing of an atomic request with a message %s', async (_, fault, code) => {
    const before = await count();
    const messages = [note('first'), note('faulty', fault), note('last')];
    const { status, body } = await post('owner', '/publish', { messages, atomic: true });
    expect(status).toBe(200);
    const undone = { error: { code: 'not_stored', retryable: false } };
    expect(body.results).toMatchObject([undone, { error: { code } }, undone]);
    expect(await count()).toBe(before);
    const { body: after } = await post('owner', '/publish', { messages: [note('after')] });
    expect(after.results).toMatchObject([{ seq: before + 1 }]);
    expect(people.ann.received('message').some(({ id }) => id === messages[0]?.id)).toBe(false);
  });
});

describe('with a key', () => {
  const { writer, published, metric } = createWriter(sql);
  const metrics = new Metrics();
  const cache = new MemoryCache({ ...cacheLimits, node: 'test', metrics: metrics.cache });
  const parts = {
    writer,
    bodies: new Bodies({ embedded: false, attachmentHosts: [], attachmentTypes: [], attachmentMaxBytes: 1 }),
    knownUsers: new KnownUsers({ sql, background: sql, cache }),
    readMarks: new ReadMarks({ sql, fanout: new MemoryFanout(), metrics, log: silentLog }),
    rates: { sends: { spend: () => undefined } },
    files: () => new MessageFiles(new UploadRows(sql, sql)),
  };
  const key = { id: 'shop', mayUseRoom: (id: string) => id.startsWith('stage-') };
  const publish = (messages: readonly object[], atomic = false): Promise<Published[]> =>
    new Publishing(parts).publish({ key }, publishRoutes.publish.input.parse({ messages, atomic }));

  const together = (rooms: readonly string[]): Promise<Published[]> =>
    publish(
      rooms.map((id) => note('x', { room: id, sender: 'robot' })),
      true,
    );

  it('publishes as any sender, who is named by the first name that the server knows', async () => {
    const results = await publish([
      note('by a stranger', { sender: 'robot', senderName: 'Robot' }),
      note('of another name', { sender: 'robot', senderName: 'Other' }),
      note('nobody'),
      note('outside', { sender: 'robot', room: 'private' }),
      note('unknown', { sender: 'robot', room: 'stage-unknown' }),
    ]);
    expect(results).toMatchObject([
      { seq: expect.any(Number) as unknown },
      { seq: expect.any(Number) as unknown },
      { error: { code: 'invalid' } },
      { error: { code: 'forbidden' } },
      { error: { code: 'not_found' } },
    ]);
    const { messages } = await people.ann.ok('history', { room: hall, limit: 2 });
    expect(messages.map(({ from, name }) => [from, name])).toEqual([
      ['robot', 'Robot'],
      ['robot', 'Robot'],
    ]);
  });

  it('passes by mutes, slow mode, senders and roles, but not by the archive', async () => {
    const strict = await room();
    await people.owner.ok('room:update', { room: strict, slowMode: 60, senders: 'admins' });
    await people.owner.ok('room:mute', { room: strict, user: 'ann', seconds: 60 });
    const to = (sender: string): object => note('x', { room: strict, sender });
    expect(await publish([to('ann'), to('ann'), to('guest'), to('robot')])).toMatchObject([
      { seq: 1 },
      { seq: 2 },
      { seq: 3 },
      { seq: 4 },
    ]);
    // the interval of the member does not begin with a published message
    const [ann] = await sql`select last_sent_at from members where room_id = ${strict} and user_id = 'ann'`;
    expect(ann).toEqual({ last_sent_at: null });
    await people.owner.ok('room:archive', { room: strict });
    expect(await publish([to('robot')])).toMatchObject([{ error: { code: 'forbidden' } }]);
  });

  it('mentions members and replies, and makes no follower of a sender outside of the room', async () => {
    const [root] = (await publish([note('for @ann and @stranger', { sender: 'robot' })])) as { seq: number }[];
    const [reply] = (await publish([note('and', { sender: 'robot', replyTo: root?.seq })])) as { seq: number }[];
    expect(published.filter(({ to }) => to === 'user')).toMatchObject([{ user: 'ann', event: 'mention', about: hall }]);
    const page = await people.ann.ok('mentions', {});
    expect(page.mentions[0]?.message).toMatchObject({ seq: root?.seq, thread: { replies: 1, repliers: ['robot'] } });
    expect(reply?.seq).toBe((root?.seq ?? 0) + 1);
    expect(await sql`select from thread_follows where user_id = 'robot'`).toHaveLength(0);
  });

  it('shares a commit with the messages of users', async () => {
    const before = await metric('parley_writer_commit_seconds_count');
    const results = await Promise.all([
      writer.send(send(hall, 'owner')),
      writer.send(send(hall, 'stranger')).catch((error: unknown) => error),
      ...Array.from({ length: 20 }, (_, n) => writer.send(send(hall, `robot-${n}`, 'x', { publisher: 'shop' }))),
      writer.send(send(hall, 'ann')),
    ]);
    expect(await metric('parley_writer_commit_seconds_count')).toBe(before + 1);
    const [owner, stranger, ...others] = results as [{ seq: number }, unknown, ...{ seq: number }[]];
    expect(stranger).toMatchObject({ code: 'not_found' });
    expect(others.map(({ seq }) => seq)).toEqual(others.map((_, n) => owner.seq + n + 1));
    await assertDense(sql);
  });

  it('stores an atomic request whole beside a request in the opposite order of rooms', async () => {
    const rooms = [await room(), await room(), await room(), await room()];
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, n) => together(n % 2 === 0 ? rooms : rooms.toReversed())),
    );
    expect(all.flat().every((result) => 'seq' in result)).toBe(true);
    await assertDense(sql);
  });
});

it('answers a message again after a restart, with the first seq', async () => {
  const database = await createTestDatabase();
  try {
    const messages = [{ room: 'lobby', id: randomUUID(), body: 'x' }];
    const results: unknown[] = [];
    for (const _ of [1, 2]) {
      const one = await startServer({}, database);
      const owner = await connectStock(one.url, await tokenOf('owner'));
      if (results.length === 0) await owner.ok('room:create', { kind: 'group', name: 'Lobby', id: 'lobby' });
      results.push((await post('owner', '/publish', { messages }, {}, one.url)).body.results[0]);
      owner.close();
      await one.stop();
    }
    expect(results[1]).toEqual({ ...(results[0] as Published), duplicate: true });
    expect(results[0]).toMatchObject({ seq: 1 });
  } finally {
    await database.drop();
  }
});
