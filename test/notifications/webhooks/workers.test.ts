/** Webhooks from the events of real rooms to a receiver over TLS, by way of the lanes and workers in processes of their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, expect, inject, it, onTestFinished } from 'vitest';
import { openLanes } from '../../../src/notifications/lanes/open.ts';
import { Outgoing } from '../../../src/notifications/outgoing.ts';
import { openWebhooks } from '../../../src/notifications/webhooks/open.ts';
import { openRedis } from '../../../src/storage/redis.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { getCurrentTest } from 'vitest/suite';
import { stage } from '../../stage.ts';
import { selfSigned } from '../../support/certificate.ts';
import { silentLog } from '../../support/messaging.ts';
import { until } from '../../support/until.ts';
import { isSigned, receiverHost, startReceiver, type Received } from './receiver.ts';
import { webhookCreateInput } from '../../../src/protocol/webhooks.ts';
import type { WorkerSettings } from './worker.ts';

const prefix = `webhooks-${crypto.randomUUID()}`;
/** The server notes the events and adds the jobs, and runs none of them. */
const { server, sql, people, room } = await stage({
  people: ['owner', 'ann'],
  config: {
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: prefix,
    PARLEY_ROLES: 'gateway,api',
    PARLEY_MAX_EVENT_LOOP_DELAY_MS: '60000',
  },
});
const tls = selfSigned(`IP:${receiverHost}`);
const folder = mkdtempSync(join(tmpdir(), 'parley-webhooks-'));
const authority = join(folder, 'ca.pem');
writeFileSync(authority, tls.cert);

const settings: WorkerSettings = {
  databaseUrl: server.database.url,
  redisUrl: inject('redisUrl'),
  prefix,
  allowedNetworks: [receiverHost],
  webhooks: {
    maxWebhooks: 50,
    overlapMs: 86_400_000,
    retryMs: [50, 50, 50, 50, 50, 50, 50, 50],
    failingMs: 259_200_000,
    timeoutMs: 1500,
    maxWaiting: 100_000,
    keptMs: 259_200_000,
  },
};

const metrics = new Metrics();
const redis = await openRedis({ url: settings.redisUrl, prefix, log: silentLog, refused: () => {} });
/** The lanes of a node that adds jobs and runs none. */
const lanes = await openLanes(
  { prefix, slots: { critical: 16, high: 8, normal: 4, low: 2, batch: 1 }, allowEviction: false },
  { redis, database: undefined, metrics: metrics.lanes, log: silentLog },
);
const outgoing = new Outgoing({ allowedNetworks: [receiverHost], timeoutMs: 1500, maxAnswerBytes: 65_536 });
const parts = { settings: settings.webhooks, database: server.database, lanes, outgoing, version: 'test', metrics };
const { webhooks } = openWebhooks({ ...parts, database: { sql, background: sql }, log: silentLog });
afterAll(async () => {
  await lanes.stop();
  await redis.close();
  rmSync(folder, { recursive: true });
});

interface Worker {
  kill(signal: NodeJS.Signals): Promise<void>;
}

async function startWorker(): Promise<Worker> {
  const script = fileURLToPath(new URL('worker.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(settings)], {
    env: { PATH: process.env['PATH'] ?? '', NODE_EXTRA_CA_CERTS: authority },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await closed;
  };
  const end = (): Promise<void> => kill('SIGKILL');
  if (getCurrentTest() === undefined) afterAll(end);
  else onTestFinished(end);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  await until('the worker is ready', () => text.includes('ready') || undefined, 60_000);
  return { kill };
}

/** @returns the revs of the messages */
async function sendTexts(id: string, texts: readonly string[]): Promise<number[]> {
  const revs: number[] = [];
  for (const text of texts) {
    const { rev } = await people.owner.ok('message:send', { room: id, id: crypto.randomUUID(), body: { text } });
    revs.push(rev);
  }
  await noted();
  return revs;
}

/** Resolves when the deliveries of all commits are stored. */
async function noted(): Promise<void> {
  await until('the outbox is noted', async () => {
    const rows = await sql`select from outbox where not notified limit 1`;
    return rows.length === 0 || undefined;
  });
}

const create = (url: string, more: object = {}) => webhooks.create(webhookCreateInput.parse({ url, ...more }));
const range = (name: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${name}-${n}`);
const place = ({ json }: Received): { room: string; rev: number } => json.data as { room: string; rev: number };

async function settled(webhook: string): Promise<void> {
  await until(
    'every delivery has ended',
    async () => {
      const rows = await sql`
        select from webhook_deliveries where webhook = ${webhook}::uuid and state in ('waiting', 'sending') limit 1`;
      return rows.length === 0 || undefined;
    },
    60_000,
  );
}

/** The worker of all tests, until one of them kills the process. */
const worker = await startWorker();

it('delivers each kind of event of a room, with the message as it is', async () => {
  const receiver = await startReceiver(tls);
  const id = await room();
  const { webhook, secret } = await create(receiver.url, { ordered: true, rooms: [id] });
  const body = { text: 'kinds' };
  const { seq } = await people.owner.ok('message:send', { room: id, id: crypto.randomUUID(), body });
  await noted();
  await people.owner.ok('message:edit', { room: id, seq, body: { text: 'kinds, edited' } });
  await noted();
  await people.ann.ok('reaction:add', { room: id, seq, emoji: '👍' });
  await noted();
  await people.owner.ok('message:delete', { room: id, seq });
  await noted();
  await settled(webhook.id);
  expect(receiver.received.map(({ type }) => type)).toEqual([
    'message.created',
    'message.updated',
    'message.updated',
    'message.deleted',
  ]);
  expect(receiver.received.every((one) => isSigned(secret, one))).toBe(true);
  expect(receiver.received.map((one) => place(one).rev)).toEqual([1, 2, 3, 4]);
  const events = receiver.received.map(({ json }) => json.data['event']);
  expect(events).toMatchObject([
    { room: id, seq, rev: 1, from: 'owner', name: 'OWNER', body },
    { seq, rev: 2, body: { text: 'kinds, edited' } },
    { seq, rev: 3, body: { text: 'kinds, edited' }, reactions: [{ emoji: '👍', count: 1 }] },
    { seq, rev: 4, body: null },
  ]);
  expect(events[1]).toHaveProperty('editedAt');
  expect(events[3]).toHaveProperty('deletedAt');
  expect(receiver.received.map(({ json }) => json.data['roomKind'])).toEqual(Array(4).fill('group'));
});

it('keeps the order of a room while another message of it waits for its relay', async () => {
  const receiver = await startReceiver(tls);
  const id = await room();
  const { webhook } = await create(receiver.url, { ordered: true, rooms: [id] });
  const sent = range('mixed', 12);
  // more than a number of JavaScript has
  const digits = '12345678901234567891';
  for (const [n, text] of sent.entries()) {
    const message = crypto.randomUUID();
    if (n % 3 === 0)
      await sql`select parley.publish(${id}, ${message}::uuid, 'owner', ${`{"text":"${text}","digits":${digits}}`}::text::jsonb)`;
    else await people.owner.ok('message:send', { room: id, id: message, body: { text } });
  }
  await noted();
  await settled(webhook.id);
  const texts = receiver.received.map(({ json }) => (json.data['event'] as { body: { text: string } }).body.text);
  expect(texts).toEqual(sent);
  expect(receiver.received[0]?.body).toContain(`"digits": ${digits}`);
});

it('keeps the order of each room through failing answers, and signatures through a rotation', async () => {
  await startWorker();
  const receiver = await startReceiver(tls);
  const rooms = [await room(), await room()];
  const { webhook, secret: former } = await create(receiver.url, { ordered: true, rooms });
  const tries = new Map<string, number>();
  let arrived: Received[] = [];
  receiver.answer = (one, response) => {
    const count = (tries.get(one.id) ?? 0) + 1;
    tries.set(one.id, count);
    // each third event fails twice, and an answer may take longer than that of the next event
    const fails = place(one).rev % 3 === 0 && count < 3;
    if (!fails) arrived.push(one);
    setTimeout(() => response.writeHead(fails ? 500 : 200).end(), (place(one).rev % 2) * 20);
  };
  const wanted = new Map<string, number[]>();
  for (const id of rooms) wanted.set(id, await sendTexts(id, range(id, 12)));
  await settled(webhook.id);
  for (const id of rooms)
    expect(arrived.map(place).flatMap((one) => (one.room === id ? [one.rev] : []))).toEqual(wanted.get(id));
  expect(arrived.every((one) => isSigned(former, one))).toBe(true);
  expect(Math.max(...tries.values())).toBe(3);

  const { secret: next } = await webhooks.rotate({ id: webhook.id });
  arrived = [];
  await sendTexts(rooms[0] ?? '', ['rotated']);
  await settled(webhook.id);
  const [rotated] = arrived;
  expect(rotated !== undefined && isSigned(former, rotated) && isSigned(next, rotated)).toBe(true);
  await sql`update webhooks set previous_until = clock_timestamp() where id = ${webhook.id}::uuid`;
  arrived = [];
  await sendTexts(rooms[0] ?? '', ['afterwards']);
  await settled(webhook.id);
  const [afterwards] = arrived;
  expect(afterwards !== undefined && !isSigned(former, afterwards) && isSigned(next, afterwards)).toBe(true);
});

it('stops at the answer 410, in every room', async () => {
  const receiver = await startReceiver(tls);
  const id = await room();
  const { webhook } = await create(receiver.url, { ordered: true, rooms: [id] });
  receiver.answer = (_one, response) => response.writeHead(410).end();
  await sendTexts(id, range('gone', 5));
  await settled(webhook.id);
  expect(await webhooks.get(webhook.id)).toMatchObject({ state: 'disabled', reason: 'gone' });
  expect(receiver.received).toHaveLength(1);
  const { deliveries } = await webhooks.deliveries({ id: webhook.id, limit: 20 });
  expect(deliveries.map(({ state }) => state)).toEqual(Array(5).fill('dead'));
});

it('repeats the id of a delivery whose worker was killed in the middle, and keeps the order', async () => {
  const receiver = await startReceiver(tls);
  const id = await room();
  const { webhook, secret } = await create(receiver.url, { ordered: true, rooms: [id] });
  receiver.answer = () => {};
  await sendTexts(id, range('killed', 3));
  await until('the first call arrives', () => receiver.received.length > 0);
  await worker.kill('SIGKILL');
  const before = receiver.received.length;
  const [row] = await sql`select state from webhook_deliveries where webhook = ${webhook.id}::uuid order by n limit 1`;
  expect(row).toEqual({ state: 'sending' });
  receiver.answer = (_one, response) => response.writeHead(204).end();
  await startWorker();
  await settled(webhook.id);
  const [first] = receiver.received;
  const after = receiver.received.slice(before);
  expect(after[0]).toMatchObject({ id: first?.id, body: first?.body });
  expect(after.map((one) => place(one).rev)).toEqual([1, 2, 3]);
  expect(after.every((one) => isSigned(secret, one))).toBe(true);
});

it('loses nothing when Redis loses the jobs', async () => {
  const receiver = await startReceiver(tls);
  const id = await room();
  const { webhook } = await create(receiver.url, { ordered: true, rooms: [id] });
  await sendTexts(id, range('lost', 4));
  const store = new Redis(settings.redisUrl);
  const keys = await store.keys(`*${prefix}*`);
  expect(keys.length).toBeGreaterThan(0);
  await store.del(...keys);
  await store.quit();
  await startWorker();
  await settled(webhook.id);
  expect([...new Set(receiver.received.map((one) => place(one).rev))]).toEqual([1, 2, 3, 4]);
});
