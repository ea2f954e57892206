/** `parley.publish`: messages that a back end stores in its own transaction, beside the messages of connections. */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import type postgres from 'postgres';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { openServer, type Database } from '../../src/storage/database.ts';
import { stage } from '../stage.ts';
import { asAdministrator, createTestDatabase } from '../support/database.ts';
import { assertDense } from '../support/messaging.ts';
import { startServer, tokenOf } from '../support/server.ts';
import { connectStock } from '../support/stock-client.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { until } from '../support/until.ts';

/** A Python with the driver of Postgres; TEST_PYTHON names one. */
const python = [process.env['TEST_PYTHON'] ?? 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import psycopg']).status === 0,
);

const { people, room, sql, server } = await stage({ people: ['owner', 'ann', 'ben'] });
await room();
const hall = 'stage-1';

let caller: Database;
beforeAll(async () => {
  caller = await openServer({ url: server.database.url, poolSize: 12 });
  await caller.sql`create table orders (id int primary key, state text)`;
});
afterAll(() => caller.close());

interface Options {
  readonly id?: string;
  readonly to?: string;
  readonly sender?: string;
  readonly replyTo?: number;
}

async function publish(
  on: postgres.ISql,
  body: unknown,
  { id = randomUUID(), to = hall, sender = 'shop', replyTo }: Options = {},
): Promise<number> {
  const [row] = await on<[{ seq: number }]>`
    select parley.publish(${to}, ${id}, ${sender}, ${JSON.stringify(body)}::text::jsonb, ${replyTo ?? null}) as seq`;
  return row.seq;
}

const bodies = (): unknown[] => people.ann.received('message').map(({ body }) => body);
const arrival = (text: string): Promise<unknown> =>
  people.ann.event('message', ({ body }) => (body as { text?: string }).text === text);

it('sends a message after the commit of the transaction, within 100 ms of it', async () => {
  const times: number[] = [];
  for (let n = 0; n < 9; n++) {
    const text = `paid ${n}`;
    await caller.sql.begin(async (tx) => {
      await tx`insert into orders values (${n}, 'paid')`;
      await publish(tx, { text });
    });
    const from = performance.now();
    await arrival(text);
    times.push(performance.now() - from);
  }
  // the machine of a test may be busy for a moment
  expect(times.toSorted((a, b) => a - b)[4]).toBeLessThan(100);
  expect(people.ann.received('message').at(-1)).toMatchObject({ room: hall, seq: 9, rev: 9, from: 'shop', name: null });
});

it('leaves nothing after a rollback: no message, no event, no outbox row, no number', async () => {
  const head = await publish(caller.sql, { text: 'before' });
  await expect(
    caller.sql.begin(async (tx) => {
      await tx`insert into orders values (100, 'paid')`;
      expect(await publish(tx, { text: 'undone' })).toBe(head + 1);
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await publish(caller.sql, { text: 'after' })).toBe(head + 1);
  await arrival('after');
  expect(bodies()).not.toContainEqual({ text: 'undone' });
  expect(await sql`select from orders where id = 100`).toHaveLength(0);
  await untilOutboxEmpty(sql);
});

const psql = async (...statements: string[]): Promise<string> => {
  const commands = statements.flatMap((statement) => ['-c', statement]);
  const { stdout } = await promisify(execFile)('psql', [
    server.database.url,
    '-qtAX',
    '-v',
    'ON_ERROR_STOP=1',
    ...commands,
  ]);
  return stdout.trim();
};
const callOf = (text: string): string =>
  `select parley.publish('${hall}', gen_random_uuid(), 'psql', '{"text":"${text}"}')`;

it('is called by psql, in a transaction with other statements', async () => {
  const seq = await psql('begin', "insert into orders values (200, 'paid')", callOf('by psql'), 'commit');
  expect(await arrival('by psql')).toMatchObject({ seq: Number(seq), from: 'psql' });
  await psql('begin', "insert into orders values (201, 'paid')", callOf('undone by psql'), 'rollback');
  await psql(callOf('later by psql'));
  await arrival('later by psql');
  expect(bodies()).not.toContainEqual({ text: 'undone by psql' });
});

it.skipIf(python === undefined)(
  'is called by Python, in a transaction with other statements, while others write the room (needs psycopg)',
  async () => {
    const shared = await room();
    const script = `
import json, sys, uuid, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    for n in range(20):
        try:
            with connection.transaction():
                connection.execute("insert into orders values (%s, 'paid')", (5000 + n,))
                connection.execute("select parley.publish(%s, %s, 'python', %s::jsonb)", (sys.argv[2], uuid.uuid4(), json.dumps({"n": n})))
                if n % 2: raise psycopg.Rollback()
        except psycopg.Rollback: pass`;
    const run = promisify(execFile)(python ?? '', ['-c', script, server.database.url, shared]);
    const writers = Array.from({ length: 10 }, async (_, k) => {
      for (let n = 0; n < 5; n++) await publish(caller.sql, { k, n }, { to: shared });
    });
    await Promise.all([run, ...writers]);
    const received = (): { seq: number; from: string }[] =>
      people.ann.received('message').filter((message) => message.room === shared);
    await until('all have come', () => received().length >= 60);
    expect(received().map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    expect(received().filter(({ from }) => from === 'python')).toHaveLength(10);
    expect(await sql`select from orders where id >= 5000`).toHaveLength(10);
  },
);

it('answers the same id with the first seq, and sends one message', async () => {
  const id = randomUUID();
  const seq = await publish(caller.sql, { text: 'once' }, { id });
  expect(await publish(caller.sql, { text: 'twice' }, { id })).toBe(seq);
  await expect(publish(caller.sql, { text: 'x' }, { id, sender: 'other' })).rejects.toMatchObject({ code: '23505' });
  await publish(caller.sql, { text: 'after once' });
  await arrival('after once');
  expect(people.ann.received('message').filter((message) => message.id === id)).toHaveLength(1);
});

it('mentions members, counts in unread, joins threads and is found', async () => {
  await people.ben.ok('read', { room: hall, seq: 10_000 });
  const root = await publish(caller.sql, { text: 'order 7, `@ann` is code, @ben and @nobody' });
  expect(await people.ben.event('mention', ({ seq }) => seq === root)).toMatchObject({ room: hall, from: 'shop' });
  const listed = await people.ben.ok('mentions', {});
  expect(listed.mentions[0]).toMatchObject({ everybody: false, message: { seq: root } });
  expect((await people.ann.ok('mentions', {})).mentions).toEqual([]);
  const reply = await publish(caller.sql, { text: 'shipped' }, { replyTo: root });
  expect(await people.ann.event('message', (message) => message.room === hall && message.seq === reply)).toMatchObject({
    replyTo: root,
    thread: { root, replies: 1, repliers: ['shop'] },
  });
  expect((await people.ben.ok('unread', {})).rooms).toContainEqual(
    expect.objectContaining({ room: hall, unread: 2, mentions: 1 }),
  );
  // a sender outside of the room follows nothing
  expect(await sql`select from thread_follows where user_id = 'shop'`).toHaveLength(0);
  await until(
    'the search finds it',
    async () => (await people.ann.ok('search', { query: 'shipped' })).hits.length === 1,
  );
  const page = await people.ann.ok('history', { room: hall });
  expect(page.messages.map(({ seq }) => seq)).toContain(reply);
});

it('counts a sender who is a member as a reader', async () => {
  const seq = await publish(caller.sql, { text: 'mine' }, { sender: 'ann' });
  await until('the mark has moved', async () => {
    const [mark] = await sql`select last_read_seq from members where room_id = ${hall} and user_id = 'ann'`;
    return mark?.['last_read_seq'] === seq;
  });
});

it.each([
  ['a body at the limit', { a: 'x'.repeat(limits.bodyBytes - 8) }, undefined],
  ['a body over the limit', { a: 'x'.repeat(limits.bodyBytes - 7) }, '54000'],
  [
    'a list at the limit, which jsonb writes with spaces',
    Array<number>(limits.bodyBytes / 2 - 2)
      .fill(1)
      .concat(10),
    undefined,
  ],
  [
    'a list over the limit',
    Array<number>(limits.bodyBytes / 2)
      .fill(1)
      .concat(1),
    '54000',
  ],
  [
    'as many levels as may be',
    JSON.parse(`${'['.repeat(limits.bodyDepth)}1${']'.repeat(limits.bodyDepth)}`),
    undefined,
  ],
  ['one level more', JSON.parse(`${'['.repeat(limits.bodyDepth + 1)}${']'.repeat(limits.bodyDepth + 1)}`), '22023'],
  ['null', null, '22023'],
  ['attachments', { attachments: [] }, '22023'],
  ['mentions that are no list', { mentions: 'ann' }, '22023'],
  ['as many mentions as may be', { mentions: Array(limits.mentions).fill('zoe') }, undefined],
  ['one mention more', { mentions: Array(limits.mentions + 1).fill('zoe') }, '22023'],
  ['a mention of no user id', { mentions: ['a b'] }, '22023'],
  ['an encrypted body', { encrypted: { alg: 'aes', kid: 'k1', data: 'x' } }, undefined],
  ['an encrypted body with a text', { encrypted: { alg: 'aes', kid: 'k1' }, text: 'x' }, '22023'],
  ['an encrypted body without a key', { encrypted: { alg: 'aes' } }, '22023'],
  [
    'an encrypted part over its limit',
    { encrypted: { alg: 'a', kid: 'k', d: 'x'.repeat(limits.encryptedBytes) } },
    '54000',
  ],
] as [string, unknown, string | undefined][])('checks a body as message:send does: %s', async (_, body, code) => {
  const published = publish(caller.sql, body);
  if (code === undefined) await expect(published).resolves.toBeGreaterThan(0);
  else await expect(published).rejects.toMatchObject({ code });
});

it('refuses NUL characters, lone surrogates and numbers that no client reads', async () => {
  for (const body of ['{"a":"\\u0000"}', '{"a":"\\ud800"}']) {
    await expect(
      caller.sql`select parley.publish(${hall}, ${randomUUID()}, 'shop', ${body}::text::jsonb)`,
    ).rejects.toMatchObject({ code: /^22/ });
  }
  await expect(
    caller.sql`select parley.publish(${hall}, ${randomUUID()}, 'shop', '1e309'::jsonb)`,
  ).rejects.toMatchObject({ code: '22023' });
});

it('refuses unknown and archived rooms, wrong ids, and replies to nothing', async () => {
  const archived = await room();
  await people.owner.ok('room:archive', { room: archived });
  for (const [options, code] of [
    [{ to: 'nowhere' }, 'P0002'],
    [{ to: archived }, '55000'],
    [{ to: 'no room id' }, '22023'],
    [{ sender: 'no user id' }, '22023'],
    [{ sender: 'x'.repeat(limits.userIdLength + 1) }, '22023'],
    [{ replyTo: 1_000_000 }, '22023'],
    [{ replyTo: 0 }, '22023'],
  ] as [Options, string][]) {
    await expect(publish(caller.sql, 'x', options), JSON.stringify(options)).rejects.toMatchObject({ code });
  }
  await expect(
    caller.sql`select parley.publish(${hall}, ${randomUUID()}, 'shop', '1', null, 'fast')`,
  ).rejects.toMatchObject({ code: '22023' });
});

it('lets the role parley_publisher call the function and do nothing else', async () => {
  const role = `publisher_${randomUUID().slice(0, 8)}`;
  await asAdministrator((admin) => admin.unsafe(`create role ${role} login password 'x' in role parley_publisher`));
  const url = new URL(server.database.url);
  [url.username, url.password] = [role, 'x'];
  const publisher = await openServer({ url: url.href, poolSize: 1 });
  try {
    await publish(publisher.sql, { text: 'by the role' });
    await arrival('by the role');
    for (const statement of [
      'select from public.messages',
      "insert into public.rooms (id, kind, created_by) values ('x', 'group', 'x')",
      "select public.append_messages(array['stage-1'], '[]', '{1}')",
      "select public.publish_message('stage-1', gen_random_uuid(), 'x', '1', null, null)",
      'create table parley.x (n int)',
      'create function parley.publish(room text) returns int language sql as $$ select 1 $$',
    ]) {
      await expect(publisher.sql.unsafe(statement), statement).rejects.toMatchObject({ code: '42501' });
    }
    // what the caller puts in front of the tables of Parley is not used
    await publisher.sql`create temp table messages (n int)`;
    await publish(publisher.sql, { text: 'with a table in front' });
    await arrival('with a table in front');
  } finally {
    await publisher.close();
    await asAdministrator((admin) => admin.unsafe(`drop role ${role}`));
  }
});

it('numbers 10 writers and 10 publishing loops of one room without a gap, and delivers each message once', async () => {
  const busy = await room();
  const each = 20;
  const writers = Array.from({ length: 10 }, async () => {
    for (let n = 0; n < each; n++) await people.owner.ok('message:send', { room: busy, id: randomUUID(), body: n });
  });
  const loops = Array.from({ length: 10 }, async (_, k) => {
    for (let n = 0; n < each; n++) {
      await caller.sql.begin(async (tx) => {
        await tx`insert into orders values (${1000 + k * each + n}, 'x')`;
        await publish(tx, { n }, { to: busy, sender: `loop-${k}` });
      });
    }
  });
  await Promise.all([...writers, ...loops]);
  const seqs = (): number[] => people.ann.received('message').flatMap((one) => (one.room === busy ? one.seq : []));
  await until('all have come', () => seqs().length >= 20 * each, 30_000);
  expect(seqs()).toEqual(Array.from({ length: 20 * each }, (_, n) => n + 1));
  await assertDense(sql);
}, 60_000);

const ordered = (first: string, second: string, done: () => Promise<void>): Promise<unknown> =>
  caller.sql.begin(async (tx) => {
    await publish(tx, 1, { to: first });
    await done();
    await publish(tx, 2, { to: second });
  });

it('ends two transactions that lock two rooms in opposite orders by an error that may be retried', async () => {
  const [one, two] = [await room(), await room()];
  let arrived = 0;
  const both = async (): Promise<void> => {
    arrived++;
    await until('both have their first room', () => arrived === 2);
  };
  const results = await Promise.allSettled([ordered(one, two, both), ordered(two, one, both)]);
  const failed = results.filter((result) => result.status === 'rejected');
  expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(['40P01']);
  await ordered(one, two, () => Promise.resolve());
  await assertDense(sql);
});

it('is relayed by a poll where no notification comes', async () => {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`;
  await publish(caller.sql, { text: 'without a listener' });
  await arrival('without a listener');
});

it('is relayed by a later node if no node runs', async () => {
  const database = await createTestDatabase();
  try {
    const first = await startServer({}, database);
    const zoe = await connectStock(first.url, await tokenOf('zoe'));
    await zoe.ok('room:create', { kind: 'group', name: 'Night', id: 'night' });
    zoe.close();
    await first.stop();
    await publish(database.sql, { text: 'hello @zoe' }, { to: 'night' });
    const second = await startServer({}, database);
    const back = await connectStock(second.url, await tokenOf('zoe'));
    await until('the mention is noted', async () => (await back.ok('mentions', {})).mentions.length === 1);
    expect((await back.ok('history', { room: 'night' })).messages).toMatchObject([{ seq: 1, from: 'shop' }]);
    expect((await back.ok('unread', {})).rooms).toMatchObject([{ room: 'night', unread: 1, mentions: 1 }]);
    await untilOutboxEmpty(database.sql);
    back.close();
    await second.stop();
  } finally {
    await database.drop();
  }
});
