/** Pushes from a message to a browser, through a push service that speaks its real protocol. */
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { newVapidKeys } from '../../../src/notifications/push/vapid.ts';
import type { Explanation } from '../../../src/notifications/explain.ts';
import { stage } from '../../stage.ts';
import { total } from '../../support/metrics.ts';
import { tokenOf } from '../../support/server.ts';
import type { StockClient } from '../../support/stock-client.ts';
import { until } from '../../support/until.ts';
import { serviceHost, serviceNetworks, startPushService, type Browser, type Received } from './push-service.ts';

const keys = newVapidKeys();
const service = await startPushService(() => keys.publicKey);
afterAll(() => service.close());

const { server, sql, people, room, say, connect } = await stage({
  people: ['owner', 'ann', 'ben'],
  config: {
    PARLEY_VAPID_PRIVATE_KEY: keys.privateKey,
    PARLEY_VAPID_SUBJECT: 'mailto:operator@example.com',
    PARLEY_OUTGOING_NETWORKS: serviceNetworks,
    PARLEY_OUTGOING_TIMEOUT_MS: '2000',
    PARLEY_PUSH_RETRY_MS: '20',
    PARLEY_MAX_DEVICES_PER_USER: '3',
  },
});

const { answer } = service;
beforeEach(async () => {
  service.answer = answer;
  await sql`delete from devices`;
});

async function device(who: StockClient): Promise<{ readonly id: string; readonly browser: Browser }> {
  const browser = service.browser();
  const { device: registered } = await who.ok('device:register', { web: browser.subscription, name: 'Phone' });
  return { id: registered.id, browser };
}

async function explained(user: string, of: string, seq: number): Promise<Explanation[]> {
  const query = new URLSearchParams({ user, room: of, seq: String(seq) });
  const response = await fetch(`${server.url}/api/v1/notifications/explain?${query}`, {
    headers: { authorization: `Bearer ${await tokenOf(user)}` },
  });
  return ((await response.json()) as { notifications: Explanation[] }).notifications;
}

const ofDevice = async (id: string, user: string, of: string, seq: number): Promise<Explanation | undefined> =>
  (await explained(user, of, seq)).find((line) => line.device === id);

/** Waits until the row of the device has the state. */
const untilState = (
  state: Explanation['state'],
  id: string,
  user: string,
  of: string,
  seq: number,
): Promise<Explanation> =>
  until(`the push is ${state}`, async () => {
    const line = await ofDevice(id, user, of, seq);
    return line?.state === state ? line : undefined;
  });

const got = (browser: Browser, n = 1): Promise<Received> =>
  until(`the browser has ${n} pushes`, () => browser.received[n - 1]);

it('a mention reaches each device of an idle user, encrypted, and explain names the devices', async () => {
  const hall = await room();
  const [phone, tablet] = [await device(people.ann), await device(people.ann)];
  const seq = await say('owner', hall, 'hello @ann');
  const { payload, headers } = await got(phone.browser);
  expect(payload).toMatchObject({
    type: 'message',
    room: hall,
    seq,
    tag: `room:${hall}`,
    kind: 'mention',
    lane: 'high',
    badge: 1,
    senderName: 'OWNER',
    text: 'hello @ANN',
  });
  expect(headers).toMatchObject({ urgency: 'high', 'content-encoding': 'aes128gcm' });
  expect(Number(headers['ttl'])).toBeGreaterThan(86_000);
  expect(headers['topic']).toMatch(/^[\w-]{1,32}$/);
  await got(tablet.browser);
  await untilState('sent', phone.id, 'ann', hall, seq);
  await untilState('sent', tablet.id, 'ann', hall, seq);
  expect((await explained('ann', hall, seq)).map(({ channel }) => channel).toSorted()).toEqual(['app', 'push', 'push']);
  expect(phone.browser.received).toHaveLength(1);
});

it('a user without a device has the reason `no_device`', async () => {
  const hall = await room();
  const seq = await say('owner', hall, 'hello @ben');
  await until('the notification is stored', async () => (await explained('ben', hall, seq))[0]?.stored);
  expect(await explained('ben', hall, seq)).toMatchObject([
    { channel: 'app', state: 'sent' },
    { channel: 'push', state: 'dropped', reason: 'no_device', stored: false },
  ]);
});

it.each([
  ['sender', { senderName: 'OWNER' }],
  ['none', {}],
] as const)('the content `%s` leaves the text out', async (content, names) => {
  const hall = await room();
  const phone = await device(people.ann);
  await people.ann.ok('preferences:set', { preferences: { content } });
  const seq = await say('owner', hall, 'a secret for @ann');
  const { payload } = await got(phone.browser);
  expect(payload).toMatchObject({ room: hall, seq, ...names });
  expect(JSON.stringify(payload)).not.toContain('secret');
  if (content === 'none') expect(JSON.stringify(payload)).not.toContain('OWNER');
  await people.ann.ok('preferences:set', { preferences: {} });
});

it.each([404, 410])('the answer %i removes the device, and no other one', async (status) => {
  const hall = await room();
  const [phone, tablet] = [await device(people.ann), await device(people.ann)];
  service.answer = ({ browser }, response) => void response.writeHead(browser === phone.browser ? status : 201).end();
  const seq = await say('owner', hall, 'hello @ann');
  const line = await untilState('dropped', phone.id, 'ann', hall, seq);
  expect(line).toMatchObject({ reason: 'no_device', error: `The push service answered ${status}.` });
  await untilState('sent', tablet.id, 'ann', hall, seq);
  await until('the device is removed', async () => {
    const { devices } = await people.ann.ok('device:list', {});
    return devices.length === 1 && devices[0]?.id === tablet.id;
  });
  expect(tablet.browser.received).toHaveLength(1);
});

it('a failure is tried again with the same topic and tag, and sends nothing again to other devices', async () => {
  const hall = await room();
  const [phone, tablet] = [await device(people.ann), await device(people.ann)];
  service.answer = ({ browser }, response) =>
    void response.writeHead(browser === phone.browser && browser.received.length < 3 ? 500 : 201).end();
  const seq = await say('owner', hall, 'hello @ann');
  expect(await untilState('sent', phone.id, 'ann', hall, seq)).toMatchObject({ attempts: 3, error: null });
  expect(
    new Set(phone.browser.received.map(({ headers, payload }) => `${String(headers['topic'])} ${payload.tag}`)).size,
  ).toBe(1);
  expect(tablet.browser.received).toHaveLength(1);
});

it('an answer that comes too late counts as a failure', async () => {
  const hall = await room();
  const phone = await device(people.ann);
  service.answer = ({ browser }, response) => {
    // the first one gets no answer within the limit of the server
    if (browser.received.length > 1) response.writeHead(201).end();
  };
  const seq = await say('owner', hall, 'hello @ann');
  expect(await untilState('sent', phone.id, 'ann', hall, seq)).toMatchObject({ attempts: 2 });
});

it.each([413, 400])('the answer %i ends the push without a further attempt', async (status) => {
  const hall = await room();
  const phone = await device(people.ann);
  service.answer = (_, response) => void response.writeHead(status).end();
  const seq = await say('owner', hall, 'hello @ann');
  const line = await untilState('dead', phone.id, 'ann', hall, seq);
  expect(line).toMatchObject({ attempts: 1, error: `The push service answered ${status}.` });
  expect((await people.ann.ok('device:list', {})).devices).toHaveLength(1);
});

it.each([429, 503])('after %i with Retry-After no push goes to that service before', async (status) => {
  const hall = await room();
  const phone = await device(people.ann);
  service.answer = ({ browser }, response) => {
    if (browser.received.length === 1) response.writeHead(status, { 'retry-after': '1' }).end();
    else response.writeHead(201).end();
  };
  const seq = await say('owner', hall, 'hello @ann');
  const first = await got(phone.browser);
  const other = await say('owner', hall, 'again @ann');
  await untilState('sent', phone.id, 'ann', hall, other);
  await until('the first push has ended', async () => {
    const state = (await ofDevice(phone.id, 'ann', hall, seq))?.state;
    return state === 'sent' || state === 'dropped';
  });
  for (const { at } of phone.browser.received.slice(1)) expect(at - first.at).toBeGreaterThanOrEqual(1000);
});

it('a user who is active elsewhere and reads the message there gets no push', async () => {
  const hall = await room();
  const phone = await device(people.ann);
  const desk = await connect('ann');
  await desk.ok('presence:state', { state: 'active' });
  const seq = await say('owner', hall, 'hello @ann');
  expect(await untilState('waiting', phone.id, 'ann', hall, seq)).toMatchObject({ reason: 'active' });
  await desk.ok('read', { room: hall, seq });
  expect(await untilState('dropped', phone.id, 'ann', hall, seq)).toMatchObject({ reason: 'read' });
  expect(phone.browser.received).toEqual([]);
  await desk.ok('presence:state', { state: 'idle' });
});

it('a background tab does not silence the phone', async () => {
  const hall = await room();
  const phone = await device(people.ann);
  const tab = await connect('ann');
  await tab.ok('presence:state', { state: 'background', room: hall });
  await say('owner', hall, 'hello @ann');
  await got(phone.browser);
});

describe('a message that is read after its push', () => {
  it('is cleared on the device by the read mark', async () => {
    const hall = await room();
    const phone = await device(people.ann);
    const seq = await say('owner', hall, 'hello @ann');
    await untilState('sent', phone.id, 'ann', hall, seq);
    await people.ann.ok('read', { room: hall, seq });
    const { payload, headers } = await got(phone.browser, 2);
    expect(payload).toEqual({
      type: 'clear',
      room: hall,
      upTo: seq,
      badge: expect.any(Number) as number,
      tag: `room:${hall}`,
    });
    expect(headers['topic']).toBe(phone.browser.received[0]?.headers['topic']);
    expect(await untilState('read', phone.id, 'ann', hall, seq)).toMatchObject({ reason: null });
  });

  it('is cleared where the mark comes while the push is sent', async () => {
    const hall = await room();
    const phone = await device(people.ann);
    const answers: (() => void)[] = [];
    service.answer = ({ payload }, response) => {
      if (payload.type === 'message') answers.push(() => response.writeHead(201).end());
      else response.writeHead(201).end();
    };
    const seq = await say('owner', hall, 'hello @ann');
    await untilState('sending', phone.id, 'ann', hall, seq);
    await until('the call is there', () => answers.length === 1);
    await people.ann.ok('read', { room: hall, seq });
    // the mark has passed the rows that were sent before
    await until('the mark is in the ledger', async () =>
      (await explained('ann', hall, seq)).some(({ channel, state }) => channel === 'app' && state === 'read'),
    );
    answers[0]?.();
    await untilState('read', phone.id, 'ann', hall, seq);
    expect((await got(phone.browser, 2)).payload).toMatchObject({ type: 'clear', upTo: seq });
  });

  it('is cleared by the mark of the notification', async () => {
    const hall = await room();
    const phone = await device(people.ann);
    const seq = await say('owner', hall, 'hello @ann');
    await untilState('sent', phone.id, 'ann', hall, seq);
    await people.ann.ok('notification:mark', { room: hall, upTo: seq });
    expect((await got(phone.browser, 2)).payload).toMatchObject({ type: 'clear', upTo: seq });
  });

  it('is not cleared where a newer push of the room is on the device', async () => {
    const hall = await room();
    const phone = await device(people.ann);
    const first = await say('owner', hall, 'one @ann');
    await untilState('sent', phone.id, 'ann', hall, first);
    const second = await say('owner', hall, 'two @ann');
    await untilState('sent', phone.id, 'ann', hall, second);
    await people.ann.ok('read', { room: hall, seq: first });
    await untilState('read', phone.id, 'ann', hall, first);
    // the clear of the next mark comes after that of the first one would
    await people.ann.ok('read', { room: hall, seq: second });
    await until('the clear', () => phone.browser.received.some(({ payload }) => payload.type === 'clear'));
    const clears = phone.browser.received.filter(({ payload }) => payload.type === 'clear');
    expect(clears.map(({ payload }) => payload.upTo)).toEqual([second]);
  });
});

describe('a registration', () => {
  it('is listed with the key of the server, and is the same device the second time', async () => {
    const phone = await device(people.ben);
    const again = await people.ben.ok('device:register', { web: phone.browser.subscription });
    expect(again.device).toMatchObject({ id: phone.id, name: 'Phone', kind: 'web' });
    expect(await people.ben.ok('device:list', {})).toEqual({ devices: [again.device], key: keys.publicKey });
    await people.ben.ok('device:remove', { id: phone.id });
    expect((await people.ben.ok('device:list', {})).devices).toEqual([]);
    await people.ben.ok('device:remove', { id: phone.id });
  });

  it('by another user of the same browser moves the device under a new id', async () => {
    const phone = await device(people.ben);
    const { device: moved } = await people.ann.ok('device:register', { web: phone.browser.subscription });
    expect(moved.id).not.toBe(phone.id);
    expect((await people.ben.ok('device:list', {})).devices).toEqual([]);
    await people.ben.ok('device:remove', { id: moved.id });
    expect((await people.ann.ok('device:list', {})).devices).toHaveLength(1);
  });

  it('ends with all tokens of the user', async () => {
    const desk = await connect('cat');
    const phone = await device(desk);
    await desk.ok('session:revoke', { all: true });
    expect((await desk.ok('device:list', {})).devices).toEqual([]);
    expect((await device(desk)).id).not.toBe(phone.id);
  });

  it('over the limit is refused, also where several come at once', async () => {
    const all = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const ack = await people.ben.socket
          .timeout(15_000)
          .emitWithAck('device:register', { web: service.browser().subscription });
        return ack as { ok: boolean; error?: { code: string } };
      }),
    );
    expect(all.filter(({ ok }) => ok)).toHaveLength(3);
    expect(all.flatMap(({ error }) => error?.code ?? [])).toEqual(['limit_reached', 'limit_reached']);
  });

  const { keys: ofBrowser } = service.browser().subscription;
  it.each([
    ['an address in place of a host', { endpoint: 'https://192.0.2.1/push', keys: ofBrowser }],
    ['an IPv6 address', { endpoint: 'https://[2001:db8::1]/push', keys: ofBrowser }],
    ['a password', { endpoint: 'https://a:b@push.example.com/', keys: ofBrowser }],
    ['another scheme', { endpoint: 'ftp://push.example.com/', keys: ofBrowser }],
    [
      'a key that is no point of the curve',
      { endpoint: 'https://push.example.com/', keys: { ...ofBrowser, p256dh: 'B'.repeat(87) } },
    ],
    ['a short secret', { endpoint: 'https://push.example.com/', keys: { ...ofBrowser, auth: 'AAAA' } }],
  ])('with %s is refused', async (_, web) => {
    expect(await people.ben.error('device:register', { web })).toMatchObject({ code: 'invalid' });
  });
});

it('an endpoint whose name resolves to a private address is refused when the push connects', async () => {
  const other = await stage({
    people: ['owner', 'ann'],
    config: { PARLEY_VAPID_PRIVATE_KEY: keys.privateKey, PARLEY_OUTGOING_NETWORKS: '192.0.2.0/24' },
  });
  const hall = await other.room();
  const { keys: ofBrowser } = service.browser().subscription;
  const endpoint = `https://${serviceHost}:${new URL(service.url).port}/push/x`;
  const before = service.received.length;
  const { device: phone } = await other.people.ann.ok('device:register', { web: { endpoint, keys: ofBrowser } });
  const seq = await other.say('owner', hall, 'hello @ann');
  await until('the push is dead', async () => {
    const [row] = await other.sql<{ state: string; error: string }[]>`
      select state, error from notifications where device = ${phone.id} and seq = ${seq}`;
    return row?.state === 'dead' && row.error.includes('not public');
  });
  expect(service.received).toHaveLength(before);
});

it('the metrics count the attempts by their outcomes', async () => {
  const metrics = await server.metrics();
  expect(total(metrics, 'parley_push_attempts_total')).toBeGreaterThan(10);
  expect(total(metrics, 'parley_push_devices_removed_total')).toBe(2);
});
