/** Deliveries of webhooks, one job at a time, to real receivers. */
import { afterEach, describe, expect, it } from 'vitest';
import type { LaneJob } from '../../../src/notifications/lanes/lanes.ts';
import { deliveryOf } from '../../../src/notifications/webhooks/delivery-job.ts';
import { openDeliveries } from '../../../src/notifications/webhooks/open-deliveries.ts';
import { total } from '../../support/metrics.ts';
import { until } from '../../support/until.ts';
import { closedGate } from '../../support/gate.ts';
import { isSigned, startReceiver } from './receiver.ts';
import { created, minutes, setScene, useDatabase } from './scene.ts';

const sql = useDatabase();
afterEach(() => sql()`delete from webhooks`);

const ids = (jobs: readonly (LaneJob | undefined)[]): unknown[] => jobs.map((job) => job?.id).toSorted();

const texts = (received: readonly { readonly json: { readonly data: object } }[]): unknown[] =>
  received.map(({ json }) => (json.data as { event: { body: { text: string } } }).event.body.text);

async function stateOf(job: LaneJob | undefined): Promise<object | undefined> {
  const [row] = await sql()`
    select state, attempts, last_status, last_error from webhook_deliveries where id = ${deliveryOf(job?.data ?? null)}::uuid`;
  return row;
}

describe('events', () => {
  it('make a delivery for each active webhook that wants the kind and the room', async () => {
    const scene = setScene(sql());
    const { url, received } = await startReceiver();
    await scene.create({ url: `${url}?all` });
    await scene.create({ url: `${url}?kind`, events: ['message.deleted'] });
    await scene.create({ url: `${url}?room`, rooms: ['team-*', 'lobby'] });
    const { webhook } = await scene.create({ url: `${url}?off` });
    await scene.webhooks.update({ id: webhook.id, enabled: false });
    expect(await scene.note()).toEqual([]);
    const jobs = await scene.note(created('lobby', 'a'), { ...created('other', 'b'), kind: 'message.deleted' });
    const rows = await sql()`
      select w.url, d.room from webhook_deliveries d join webhooks w on w.id = d.webhook order by d.n`;
    const wanted = rows.map(({ url: to, room }) => `${String(to).split('?')[1]} ${room}`);
    expect(wanted.toSorted()).toEqual(['all lobby', 'all other', 'kind other', 'room lobby']);
    expect(jobs.map(({ lane, kind }) => `${lane} ${kind}`)).toEqual(Array(4).fill('normal webhook'));
    for (const job of jobs) expect(await scene.run(job)).toEqual({ done: true });
    expect(received).toHaveLength(4);
  });

  it('leave nothing after a rollback', async () => {
    const scene = setScene(sql());
    await scene.create({ url: 'https://example.com/' });
    const failing = sql().begin(async (tx) => {
      const { noteEvents } = await import('../../../src/notifications/webhooks/note-events.ts');
      await noteEvents(tx, [created('lobby', 'a')]);
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect(await sql()`select from webhook_deliveries`).toEqual([]);
  });

  it('arrive signed, in the form of Standard Webhooks', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    const { secret } = await scene.create({ url: receiver.url });
    const event = created('lobby', 'é');
    const [job] = await scene.note(event);
    await scene.run(job);
    const [one] = receiver.received;
    if (one === undefined) throw new Error('nothing arrived');
    expect(isSigned(secret, one)).toBe(true);
    expect(isSigned(`whsec_${Buffer.from('another').toString('base64')}`, one)).toBe(false);
    expect(isSigned(secret, { ...one, body: one.body.replace('é', 'e') })).toBe(false);
    expect(isSigned(secret, one, Date.now() + 301_000)).toBe(false);
    expect(one.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Parley/test' });
    expect(one.json).toEqual({
      type: 'message.created',
      timestamp: '2023-11-14T22:13:20.000Z',
      data: { room: 'lobby', roomKind: 'group', rev: event.rev, event: { room: 'lobby', body: { text: 'é' } } },
    });
    expect(await stateOf(job)).toEqual({ state: 'delivered', attempts: 1, last_status: 204, last_error: null });
  });

  it('arrive as CloudEvents 1.0 where the webhook asks for them', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    const { secret } = await scene.create({ url: receiver.url, format: 'cloudevents' });
    const [job] = await scene.note(created('lobby', 'a'));
    await scene.run(job);
    const [one] = receiver.received;
    if (one === undefined) throw new Error('nothing arrived');
    expect(isSigned(secret, one)).toBe(true);
    expect(one.headers['content-type']).toBe('application/cloudevents+json');
    expect(one.json).toMatchObject({
      specversion: '1.0',
      id: one.id,
      source: '/parley/rooms/lobby',
      type: 'parley.message.created',
      time: '2023-11-14T22:13:20.000Z',
      data: { room: 'lobby' },
    });
  });
});

it('signs with both secrets during a rotation, and with the new one alone afterwards', async () => {
  const scene = setScene(sql());
  const receiver = await startReceiver();
  const { webhook, secret: first } = await scene.create({ url: receiver.url });
  const signedBy = async (): Promise<number[]> => {
    const [job] = await scene.note(created('lobby', 'a'));
    await scene.run(job);
    const one = receiver.received.at(-1);
    if (one === undefined) throw new Error('nothing arrived');
    return [first, second, third].map((secret) => (secret !== '' && isSigned(secret, one) ? 1 : 0));
  };
  let [second, third] = ['', ''];
  expect(await signedBy()).toEqual([1, 0, 0]);
  ({ secret: second } = await scene.webhooks.rotate({ id: webhook.id }));
  expect(await signedBy()).toEqual([1, 1, 0]);
  await sql()`update webhooks set previous_until = clock_timestamp()`;
  expect(await signedBy()).toEqual([0, 1, 0]);
  ({ secret: third } = await scene.webhooks.rotate({ id: webhook.id, overlapMs: 0 }));
  expect(await signedBy()).toEqual([0, 0, 1]);
});

describe('a failed delivery', () => {
  it('is repeated after the pauses of the settings with the same id and body, and is dead after the last one', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    receiver.answer = (_one, response) => response.writeHead(500).end();
    await scene.create({ url: receiver.url });
    const [job] = await scene.note(created('lobby', 'a'));
    for (const pause of minutes) {
      const before = Date.now();
      const result = await scene.run(job);
      const again = 'again' in result ? result.again : 0;
      expect(again).toBeGreaterThanOrEqual(before + pause);
      expect(again).toBeLessThanOrEqual(Date.now() + pause);
      expect(await stateOf(job)).toMatchObject({ state: 'waiting', last_status: 500 });
    }
    expect(await scene.run(job)).toEqual({ done: true });
    expect(await stateOf(job)).toEqual({
      state: 'dead',
      attempts: 4,
      last_status: 500,
      last_error: 'The receiver answered 500.',
    });
    expect(new Set(receiver.received.map(({ id, body }) => id + body)).size).toBe(1);
    expect(receiver.received).toHaveLength(4);
    const metrics = await scene.metrics();
    expect(total(metrics, 'parley_webhook_attempts_total{outcome="failed"}')).toBe(4);
    expect(total(metrics, 'parley_webhook_dead_total')).toBe(1);
    expect(total(metrics, 'parley_webhook_attempt_seconds_count')).toBe(4);
    expect(await scene.run(job)).toEqual({ done: true });
    expect(receiver.received).toHaveLength(4);
  });

  it('waits as long as Retry-After says, and never less than the pause', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    await scene.create({ url: receiver.url });
    for (const [retryAfter, atLeast, atMost] of [
      ['60', 60_000, 61_000],
      ['1', 5000, 6000],
      ['soon', 5000, 6000],
      ['99999999', 86_400_000, 86_401_000],
    ] as const) {
      receiver.answer = (_one, response) => response.writeHead(503, { 'retry-after': retryAfter }).end();
      const [job] = await scene.note(created('lobby', 'a'));
      const before = Date.now();
      const result = await scene.run(job);
      const pause = ('again' in result ? result.again : 0) - before;
      expect([retryAfter, pause >= atLeast, pause < atMost + Date.now() - before]).toEqual([retryAfter, true, true]);
    }
  });

  it('has a reason: a private address, a redirect, or no answer in time', async () => {
    const receiver = await startReceiver();
    const closed = setScene(sql(), { allowedNetworks: ['127.0.0.99'] });
    const { webhook } = await closed.create({ url: receiver.url.replace('http:', 'https:') });
    const [refused] = await closed.note(created('lobby', 'a'));
    await closed.run(refused);
    expect(await stateOf(refused)).toMatchObject({ last_error: 'The host has an address that is not public.' });
    expect(receiver.received).toEqual([]);

    const scene = setScene(sql());
    await scene.webhooks.update({ id: webhook.id, url: receiver.url });
    receiver.answer = (_one, response) => response.writeHead(301, { location: receiver.url }).end();
    const [moved] = await scene.note(created('lobby', 'a'));
    await scene.run(moved);
    expect(await stateOf(moved)).toMatchObject({ last_status: 301, last_error: 'The receiver answered 301.' });
    expect(receiver.received).toHaveLength(1);

    receiver.answer = () => {};
    const [late] = await scene.note(created('lobby', 'a'));
    await setScene(sql(), { timeoutMs: 300 }).run(late);
    expect(await stateOf(late)).toMatchObject({ last_status: null, last_error: 'no answer in 300 ms' });
  });
});

describe('a webhook is disabled', () => {
  it('by the answer 410, and its other deliveries end', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    receiver.answer = (_one, response) => response.writeHead(410).end();
    const { webhook } = await scene.create({ url: receiver.url });
    const [job, other] = await scene.note(created('lobby', 'a'), created('lobby', 'b'));
    expect(await scene.run(job)).toEqual({ done: true });
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({ state: 'disabled', reason: 'gone' });
    expect(await stateOf(other)).toMatchObject({ state: 'dead', last_error: 'The webhook is disabled.' });
    expect(await scene.run(other)).toEqual({ done: true });
    expect(receiver.received).toHaveLength(1);
    expect(await scene.note(created('lobby', 'c'))).toEqual([]);
    expect(total(await scene.metrics(), 'parley_webhooks_disabled_total{reason="gone"}')).toBe(1);

    receiver.answer = (_one, response) => response.writeHead(204).end();
    const enabled = await scene.webhooks.update({ id: webhook.id, enabled: true });
    expect(enabled).toMatchObject({ state: 'active', reason: null, disabledAt: null });
    await scene.webhooks.replay(webhook.id, deliveryOf(other?.data ?? null));
    await scene.run(scene.added.at(-1));
    expect(texts(receiver.received)).toEqual(['a', 'b']);
  });

  it('after failures for the time of the settings, unless a delivery arrives in between', async () => {
    const scene = setScene(sql(), { failingMs: 60_000 });
    const receiver = await startReceiver();
    const { webhook } = await scene.create({ url: receiver.url });
    const send = async (status: number): Promise<void> => {
      receiver.answer = (_one, response) => response.writeHead(status).end();
      const [job] = await scene.note(created('lobby', 'a'));
      await scene.run(job);
    };
    const failedFor = (ms: number) =>
      sql()`update webhooks set failing_since = failing_since - ${ms} * interval '1 ms'`;
    await send(500);
    await failedFor(61_000);
    await send(200);
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({ state: 'active', failingSince: null });
    await send(500);
    await send(500);
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({
      state: 'active',
      failingSince: expect.any(Number) as unknown,
    });
    await failedFor(61_000);
    await send(500);
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({ state: 'disabled', reason: 'failing' });
    expect(total(await scene.metrics(), 'parley_webhooks_disabled_total{reason="failing"}')).toBe(1);
  });

  it('by one waiting delivery over the limit', async () => {
    const scene = setScene(sql(), { maxWaiting: 3 });
    const { webhook } = await scene.create({ url: 'https://example.com/' });
    await scene.note(created('lobby', 'a'), created('lobby', 'b'), created('lobby', 'c'));
    await scene.upkeep.run();
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({ state: 'active' });
    const [job] = await scene.note(created('lobby', 'd'));
    await scene.upkeep.run();
    expect(await scene.webhooks.get(webhook.id)).toMatchObject({ state: 'disabled', reason: 'backlog' });
    expect(await stateOf(job)).toMatchObject({ state: 'dead' });
  });
});

describe('the order of a room', () => {
  it('holds through failures, and other rooms go on', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    receiver.answer = (_one, response) => response.writeHead(500).end();
    await scene.create({ url: receiver.url, ordered: true });
    const [first, second, third, elsewhere] = await scene.note(
      created('lobby', '1'),
      created('lobby', '2'),
      created('lobby', '3'),
      created('other', 'x'),
    );
    expect(await scene.run(first)).toHaveProperty('again');
    expect(await scene.run(second)).toEqual({ done: true });
    expect(await scene.run(third)).toEqual({ done: true });
    receiver.answer = (_one, response) => response.writeHead(200).end();
    expect(await scene.run(elsewhere)).toEqual({ done: true });
    expect(scene.added).toEqual([]);
    expect(await scene.run(first)).toEqual({ done: true });
    // the jobs of the other two have ended, so that each delivery adds the job of the next one
    expect(scene.added).toMatchObject([{ data: second?.data }]);
    expect(scene.added[0]?.id).not.toBe(second?.id);
    await scene.run(scene.added[0]);
    await scene.run(scene.added[1]);
    expect(texts(receiver.received)).toEqual(['1', 'x', '1', '2', '3']);
    expect(scene.added).toHaveLength(2);
  });

  it('goes on behind a dead delivery', async () => {
    const scene = setScene(sql(), { retryMs: [] });
    const receiver = await startReceiver();
    receiver.answer = (_one, response) => response.writeHead(500).end();
    await scene.create({ url: receiver.url, ordered: true });
    const [first, second] = await scene.note(created('lobby', '1'), created('lobby', '2'));
    expect(await scene.run(second)).toEqual({ done: true });
    expect(receiver.received).toEqual([]);
    expect(await scene.run(first)).toEqual({ done: true });
    expect(scene.added).toMatchObject([{ data: second?.data }]);
  });
});

describe('a worker that dies', () => {
  it('leaves an attempt that was counted before the call; the next worker repeats the id', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    const held = closedGate();
    receiver.answer = (_one, response) => void held.opened.then(() => response.writeHead(200).end());
    await scene.create({ url: receiver.url });
    const [job] = await scene.note(created('lobby', 'a'));
    const lost = scene.run(job);
    await until('the call arrives', () => receiver.received.length === 1);
    expect(await stateOf(job)).toMatchObject({ state: 'sending', attempts: 1 });

    const beside = await scene.run(job);
    expect('again' in beside ? beside.again - Date.now() : 0).toBeGreaterThan(13_000);
    await sql()`update webhook_deliveries set due_at = clock_timestamp()`;
    receiver.answer = (_one, response) => response.writeHead(200).end();
    expect(await scene.run(job)).toEqual({ done: true });
    expect(receiver.received.map(({ id }) => id)).toEqual([receiver.received[0]?.id, receiver.received[0]?.id]);
    expect(await stateOf(job)).toMatchObject({ state: 'delivered', attempts: 2 });
    held.open();
    await lost;
    expect(await stateOf(job)).toMatchObject({ state: 'delivered', attempts: 2 });
  });

  it('leaves its deliveries to a stop: the attempt counts, and is due at once', async () => {
    const scene = setScene(sql());
    const receiver = await startReceiver();
    receiver.answer = () => {};
    await scene.create({ url: receiver.url });
    const [job] = await scene.note(created('lobby', 'a'));
    const stop = new AbortController();
    const run = scene.run(job, stop.signal);
    await until('the call arrives', () => receiver.received.length === 1);
    stop.abort();
    expect(await run).toHaveProperty('again');
    expect(await stateOf(job)).toMatchObject({ state: 'waiting', attempts: 1 });
  });
});

describe('a delivery without a job', () => {
  it('gets another one, unless it waits for an earlier one of its room', async () => {
    const scene = setScene(sql());
    await scene.create({ url: 'https://example.com/', ordered: true });
    const [first, second, elsewhere] = await scene.note(
      created('lobby', '1'),
      created('lobby', '2'),
      created('other', 'x'),
    );
    await scene.upkeep.run();
    expect(scene.added).toEqual([]);
    await sql()`update webhook_deliveries set due_at = clock_timestamp() - interval '20 s'`;
    await scene.upkeep.run();
    expect(ids(scene.added)).toEqual(ids([first, elsewhere]));
    expect(second).toBeDefined();
    expect(total(await scene.metrics(), 'parley_webhook_put_back_total')).toBe(2);
    // each call takes the rows that have waited for the longest
    expect(await sql().begin((tx) => openDeliveries(tx, 15_000))).toEqual([]);
    await sql()`update webhook_deliveries set due_at = clock_timestamp() - interval '20 s', state = 'sending'`;
    expect(ids(await sql().begin((tx) => openDeliveries(tx, 15_000)))).toEqual(ids([first, elsewhere]));
  });
});

it('forgets deliveries after their time', async () => {
  const scene = setScene(sql(), { keptMs: 60_000 });
  const receiver = await startReceiver();
  const { webhook } = await scene.create({ url: receiver.url });
  const jobs = await scene.note(created('lobby', '1'), created('lobby', '2'), created('lobby', '3'));
  await scene.run(jobs[0]);
  await scene.run(jobs[1]);
  await sql()`update webhook_deliveries set ended_at = clock_timestamp() - interval '61 s' where n = (select min(n) from webhook_deliveries)`;
  await scene.upkeep.run();
  const { deliveries } = await scene.webhooks.deliveries({ id: webhook.id, limit: 20 });
  expect(deliveries.map(({ state }) => state)).toEqual(['waiting', 'delivered']);
});

it('calls a slow receiver four times at once, and gives the others the time of their turn', async () => {
  const scene = setScene(sql());
  const receiver = await startReceiver();
  const held = closedGate();
  receiver.answer = (_one, response) => void held.opened.then(() => response.writeHead(200).end());
  await scene.create({ url: receiver.url });
  const jobs = await scene.note(...['1', '2', '3', '4', '5', '6'].map((text) => created('lobby', text)));
  const calls = jobs.slice(0, 4).map((job) => scene.run(job));
  await until('four calls arrive', () => receiver.received.length === 4);
  const [fifth, sixth] = [await scene.run(jobs[4]), await scene.run(jobs[5])];
  expect(fifth).toHaveProperty('again');
  expect('again' in sixth && 'again' in fifth && sixth.again > fifth.again).toBe(true);
  held.open();
  for (const result of await Promise.all(calls)) expect(result).toEqual({ done: true });
  expect(await scene.run(jobs[4])).toEqual({ done: true });
});
