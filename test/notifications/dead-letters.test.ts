/** Dead letters after an outage: listed, replayed once each, and dropped, over REST and by the command line. */
import { afterAll, expect, it } from 'vitest';
import { newVapidKeys } from '../../src/notifications/push/vapid.ts';
import type { DeadLetter } from '../../src/protocol/dead-letters.ts';
import { makeKey, request, type Answered } from '../api/keys-routes.ts';
import { stage } from '../stage.ts';
import { testSecret } from '../support/server.ts';
import { runProgram } from '../support/spawn.ts';
import { until } from '../support/until.ts';
import { serviceNetworks, startPushService, type Browser } from './push/push-service.ts';
import { receiverHost, startReceiver } from './webhooks/receiver.ts';

const keys = newVapidKeys();
const service = await startPushService(() => keys.publicKey);
afterAll(() => service.close());

const { server, sql, people, room } = await stage({
  people: ['owner'],
  config: {
    PARLEY_VAPID_PRIVATE_KEY: keys.privateKey,
    PARLEY_OUTGOING_NETWORKS: `${serviceNetworks},${receiverHost}`,
    PARLEY_PUSH_RETRY_MS: '10',
    PARLEY_PUSH_GIVE_UP_MS: '100',
    PARLEY_WEBHOOK_RETRY_MS: '10',
  },
});
const bearer = (await makeKey(sql, { scopes: ['webhooks'] })).text;
const call = (method: string, path: string, body?: object): Promise<Answered> =>
  request(server.url, method, path, { bearer, ...(body === undefined ? {} : { body }) });
const { answer } = service;

interface Page {
  readonly items: readonly DeadLetter[];
  readonly next: string | null;
}

/** All pages of the list. */
async function listed(filter = ''): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for (let page: Page | undefined; page === undefined || page.next !== null;) {
    const cursor = page === undefined ? '' : `&cursor=${String(page.next)}`;
    page = (await call('GET', `/dead-letters?limit=100${filter}${cursor}`)).body as unknown as Page;
    found.push(...page.items);
  }
  return found;
}

/** Members of a room that have a device and no connection. */
async function membersOf(hall: string, prefix: string, count: number): Promise<Map<string, Browser>> {
  const devices = new Map<string, Browser>();
  for (let n = 0; n < count; n++) devices.set(`${prefix}${n}`, service.browser());
  for (const [user, browser] of devices) {
    const { endpoint, keys: secrets } = browser.subscription;
    await sql`insert into users (id) values (${user}) on conflict do nothing`;
    await sql`insert into members (room_id, user_id, role) values (${hall}, ${user}, 'member')`;
    await sql`
      insert into devices (id, user_id, channel, address, secrets)
      values (gen_random_uuid(), ${user}, 'web', ${endpoint}, ${JSON.stringify(secrets)}::text::jsonb)`;
  }
  await sql`update rooms set member_count = member_count + ${count} where id = ${hall}`;
  return devices;
}

const untilDead = (hall: string, count: number): Promise<unknown> =>
  until('the pushes are dead', async () => {
    const [row] = await sql<{ n: number }[]>`
      select count(*)::int as n from notifications where room_id = ${hall} and channel = 'push' and state = 'dead'`;
    return row?.n === count;
  });

it('500 pushes that died in an outage are listed, tried dry, and replayed: each is shown once, read ones are dropped', async () => {
  service.answer = (_, response) => void response.writeHead(500).end();
  const halls = await Promise.all(Array.from({ length: 5 }, () => room()));
  await Promise.all(halls.map((hall, n) => membersOf(hall, `u${n}-`, 100)));
  for (const hall of halls)
    await people.owner.ok('message:send', { room: hall, id: crypto.randomUUID(), body: { text: '@room fire' } });
  for (const hall of halls) await untilDead(hall, 100);

  // all within a millisecond: pages lose none of them
  await sql`
    update notifications n set updated_at = date_trunc('second', clock_timestamp()) + d.place * interval '1 microsecond'
    from (select id, row_number() over (order by id desc) as place from notifications where state = 'dead') d
    where n.id = d.id`;
  const all = await listed();
  expect(new Set(all.map(({ id }) => id)).size).toBe(500);
  expect(all[0]).toMatchObject({
    channel: 'push',
    kind: 'everybody',
    replays: 0,
    error: 'The push service answered 500.',
  });
  expect(all.map(({ at }) => at)).toEqual(all.map(({ at }) => at).toSorted((a, b) => b - a));
  const [first = ''] = halls;
  expect(await listed(`&room=${first}`)).toHaveLength(100);
  expect(await listed('&reason=ANSWERED%20500')).toHaveLength(500);
  expect(await listed('&reason=answered%20404')).toEqual([]);
  expect(await listed('&channel=email')).toEqual([]);
  expect(await listed(`&since=${Date.now() + 60_000}`)).toEqual([]);
  expect(JSON.stringify(all)).not.toContain(service.url);

  // ten users have read the message meanwhile
  await sql`update members set last_read_seq = 1 where room_id = ${first} and user_id = any (${Array.from({ length: 10 }, (_, n) => `u0-${n}`)})`;
  const dry = await call('POST', '/dead-letters/replay', { dryRun: true });
  expect(dry.body).toEqual({ replayed: 490, dropped: { read: 10 }, exhausted: 0, disabled: 0, more: false });
  expect(await listed()).toHaveLength(500);

  const before = service.received.length;
  service.answer = answer;
  expect((await call('POST', '/dead-letters/replay', {})).body).toEqual(dry.body);
  await until('all have arrived', () => service.received.length >= before + 490);
  await until('all are sent', async () => {
    const rows = await sql<{ state: string; n: number }[]>`
      select state, count(*)::int as n from notifications where channel = 'push' group by state order by state`;
    return rows.length === 2 && rows[0]?.n === 10 && rows[1]?.state === 'sent';
  });
  const after = service.received.slice(before);
  expect(after).toHaveLength(490);
  expect(new Set(after.map(({ browser }) => browser.endpoint)).size).toBe(490);
  expect(await listed()).toEqual([]);
  expect((await call('POST', '/dead-letters/replay', {})).body).toMatchObject({ replayed: 0, more: false });
});

it('a dead letter is replayed three times at most, can be dropped, and each death is an event of webhooks', async () => {
  const hall = await room();
  const receiver = await startReceiver();
  const hook = { url: receiver.url, rooms: [hall], events: ['notification.dead'] };
  const { id: webhook } = (await call('POST', '/webhooks', hook)).body['webhook'] as { id: string };
  await membersOf(hall, 'v', 1);
  service.answer = (_, response) => void response.writeHead(500).end();
  await people.owner.ok('message:send', { room: hall, id: crypto.randomUUID(), body: { text: '@room fire' } });
  for (let replays = 0; replays < 3; replays++) {
    await untilDead(hall, 1);
    const [letter] = await listed(`&room=${hall}`);
    expect(letter).toMatchObject({ replays });
    const { body } = await call('POST', '/dead-letters/replay', { ids: [letter?.id] });
    expect(body).toMatchObject({ replayed: 1 });
  }
  await untilDead(hall, 1);
  const [letter] = await listed(`&room=${hall}`);
  const refused = await call('POST', '/dead-letters/replay', { ids: [letter?.id] });
  expect(refused).toMatchObject({ status: 409, body: { code: 'limit_reached' } });
  expect((await call('POST', '/dead-letters/replay', { room: hall })).body).toMatchObject({
    replayed: 0,
    exhausted: 1,
  });
  expect((await call('POST', '/dead-letters/drop', { room: hall })).body).toEqual({ dropped: 1, more: false });
  expect(await listed(`&room=${hall}`)).toEqual([]);
  await until('each death has its event', () => receiver.received.length === 4);
  expect(receiver.received[0]?.json).toMatchObject({
    type: 'notification.dead',
    data: {
      room: hall,
      roomKind: 'group',
      rev: null,
      event: { id: letter?.id, seq: 1, user: 'v0', channel: 'push', error: 'The push service answered 500.' },
    },
  });
  await call('DELETE', `/webhooks/${webhook}`);
});

it('dead deliveries of webhooks are in the same list, and are replayed and dropped too', async () => {
  const receiver = await startReceiver();
  receiver.answer = (_, response) => void response.writeHead(500).end();
  const hall = await room();
  const created = await call('POST', '/webhooks', { url: receiver.url, rooms: [hall], events: ['message.created'] });
  const { id } = created.body['webhook'] as { id: string };
  for (const text of ['one', 'two']) {
    await people.owner.ok('message:send', { room: hall, id: crypto.randomUUID(), body: { text } });
  }
  const letters = await until('both are dead', async () => {
    const found = await listed('&channel=webhook');
    return found.length === 2 && found;
  });
  expect(letters[0]).toMatchObject({
    target: id,
    room: hall,
    kind: 'message.created',
    error: 'The receiver answered 500.',
  });
  const before = receiver.received.length;
  receiver.answer = (_, response) => void response.writeHead(204).end();
  expect((await call('POST', '/dead-letters/replay', { ids: [letters[0]?.id] })).body).toMatchObject({ replayed: 1 });
  await until('it has arrived', () => receiver.received.length > before);
  await call('PATCH', `/webhooks/${id}`, { enabled: false });
  expect((await call('POST', '/dead-letters/replay', { channel: 'webhook' })).body).toMatchObject({
    replayed: 0,
    disabled: 1,
  });
  expect((await call('POST', '/dead-letters/drop', { channel: 'webhook' })).body).toMatchObject({ dropped: 1 });
  await call('DELETE', `/webhooks/${id}`);
});

const run = (...args: string[]) =>
  runProgram(['dead-letters', ...args], { DATABASE_URL: server.database.url, PARLEY_JWT_SECRET: testSecret });

it('the command line lists, replays and drops', async () => {
  const hall = await room();
  const devices = await membersOf(hall, 'w', 2);
  service.answer = (_, response) => void response.writeHead(500).end();
  await people.owner.ok('message:send', { room: hall, id: crypto.randomUUID(), body: { text: '@room fire' } });
  await untilDead(hall, 2);
  const list = await run('list', '--room', hall);
  expect(list.stdout.trim().split('\n')).toHaveLength(2);
  expect(list.stdout).toMatch(/ push .* w[01] .* attempts \d+ {2}replays 0 {2}The push service answered 500\.$/m);
  expect(await run('replay', '--room', hall, '--dry-run')).toMatchObject({
    code: 0,
    stdout: 'replayed 2  exhausted 0  disabled 0\n',
  });
  service.answer = answer;
  const before = [...devices.values()].map(({ received }) => received.length);
  expect((await run('replay', '--room', hall)).stdout).toBe('replayed 2  exhausted 0  disabled 0\n');
  await until(
    'the sweep gives the replays their jobs',
    () => [...devices.values()].every(({ received }, n) => received.length > (before[n] ?? 0)),
    60_000,
  );
  expect((await run('list', '--room', hall)).stdout).toBe('There are no dead letters.\n');
  expect((await run('drop', '--room', hall)).stdout).toBe('dropped 0\n');
  for (const [args, message] of [
    [['replay'], 'needs ids, a filter, or --all'],
    [['drop', '--since', 'yesterday'], 'since: '],
    [['list', '--channel', 'pigeon'], 'channel: '],
    [['look'], 'needs list, replay or drop'],
  ] as const) {
    const { code, stderr } = await run(...args);
    expect({ args, code }).toEqual({ args, code: 1 });
    expect(stderr).toContain(message);
  }
}, 120_000);

it.each([
  ['GET', '/dead-letters?before=nothing', undefined],
  ['GET', '/dead-letters?limit=101', undefined],
  ['POST', '/dead-letters/replay', { ids: [] }],
  ['POST', '/dead-letters/replay', { reason: 'x'.repeat(101) }],
] as const)('%s %s %j is refused', async (method, path, body) => {
  expect(await call(method, path, body)).toMatchObject({ status: 400, body: { code: 'invalid' } });
});
