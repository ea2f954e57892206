/** Attempts of pushes: two at once, after the death of a process, and with a push service in trouble. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type postgres from 'postgres';
import { afterAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { newVapidKeys } from '../../../src/notifications/push/vapid.ts';
import type { LaneJob } from '../../../src/notifications/lanes/lanes.ts';
import { sweep } from '../../../src/notifications/waiting-jobs.ts';
import { createTestDatabase } from '../../support/database.ts';
import { makeRoom } from '../../support/messaging.ts';
import { total } from '../../support/metrics.ts';
import { until } from '../../support/until.ts';
import { startPushService, type Browser } from './push-service.ts';
import { setPushScene, storedPush, storeDevice, type PushScene } from './scene.ts';
import type { PushWorkerSettings } from './worker.ts';

const vapid = newVapidKeys();
const service = await startPushService(() => vapid.publicKey);
const database = await createTestDatabase({ poolSize: 10 });
const { sql } = database;
afterAll(async () => {
  service.close();
  await database.drop();
});

const { answer } = service;
beforeEach(() => {
  service.answer = answer;
});

let rooms = 0;

async function phoneOf(): Promise<{ room: string; user: string; browser: Browser; device: string }> {
  const user = `user${++rooms}`;
  const room = await makeRoom(sql, `room${rooms}`, 'owner', user);
  const browser = service.browser();
  return { room, user, browser, device: await storeDevice(sql, user, browser) };
}

/** The jobs of a message in its room. */
async function jobsOf(scene: PushScene, room: string): Promise<LaneJob[]> {
  await scene.say(room, 'hello');
  return scene.jobs.splice(0).filter(({ kind }) => kind === 'push');
}

async function jobOf(scene: PushScene, room: string): Promise<LaneJob> {
  const [job] = await jobsOf(scene, room);
  if (job === undefined) throw new Error('the message has no push');
  return job;
}

function startWorker(job: LaneJob, hang: boolean): ChildProcessByStdio<null, Readable, null> {
  const settings: PushWorkerSettings = { databaseUrl: database.url, job, vapid, hang, timeoutMs: 300_000 };
  const script = fileURLToPath(new URL('worker.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(settings)], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function kill(child: ChildProcessByStdio<null, Readable, null>): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** The lease of the dead process ends, and the sweep of another one gives the row a job. */
async function sweptJob(scene: PushScene, device: string): Promise<LaneJob> {
  await sql`update notifications set due_at = clock_timestamp() - interval '1 ms' where device = ${device} and state = 'sending'`;
  await sweep({ sql, lanes: { add: (jobs) => Promise.resolve(void scene.jobs.push(...jobs)) } });
  expect(await storedPush(sql, device)).toMatchObject({ state: 'unknown', attempts: 1 });
  const [job] = scene.jobs.splice(0);
  if (job === undefined) throw new Error('the sweep has added no job');
  return job;
}

it('two runs of a job at once make one call', async () => {
  const [one, other] = [setPushScene({ sql, vapid }), setPushScene({ sql, vapid })];
  const { room, browser, device } = await phoneOf();
  const job = await jobOf(one, room);
  await Promise.all([one.run(job), one.run(job), other.run(job), other.run(job)]);
  expect(browser.received).toHaveLength(1);
  expect(await storedPush(sql, device)).toMatchObject({ state: 'sent', attempts: 1 });
  await other.run(job);
  expect(browser.received).toHaveLength(1);
});

it('a second answer to a call changes nothing', async () => {
  const scene = setPushScene({ sql, vapid });
  const { room, browser, device } = await phoneOf();
  service.answer = (_, response) => {
    const { socket } = response;
    response.writeHead(201, { 'content-length': '0' }).end(() => {
      socket?.write('HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n');
    });
  };
  await scene.run(await jobOf(scene, room));
  expect(browser.received).toHaveLength(1);
  expect(await storedPush(sql, device)).toMatchObject({ state: 'sent', attempts: 1 });
  expect(await sql`select from devices where id = ${device}::uuid`).toHaveLength(1);
});

it('a process that dies before its call leaves `unknown`, and the push is shown once', async () => {
  const scene = setPushScene({ sql, vapid });
  const { room, browser, device } = await phoneOf();
  const child = startWorker(await jobOf(scene, room), true);
  await once(child.stdout, 'data');
  expect(await storedPush(sql, device)).toMatchObject({ state: 'sending', attempts: 1 });
  await kill(child);
  await scene.run(await sweptJob(scene, device));
  expect(browser.received).toHaveLength(1);
  expect(await storedPush(sql, device)).toMatchObject({ state: 'sent', attempts: 2 });
}, 60_000);

it('a process that dies after its call sends the same topic and tag again', async () => {
  const scene = setPushScene({ sql, vapid });
  const { room, browser, device } = await phoneOf();
  const job = await jobOf(scene, room);
  service.answer = () => {};
  const child = startWorker(job, false);
  await until('the call has come', () => browser.received[0], 30_000);
  await kill(child);
  service.answer = answer;
  await scene.run(await sweptJob(scene, device));
  const keys = browser.received.map(
    ({ headers, payload }) => `${String(headers['topic'])} ${payload.tag} ${payload.seq}`,
  );
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
  expect(await storedPush(sql, device)).toMatchObject({ state: 'sent', attempts: 2 });
}, 60_000);

it('a key that is not the one of the browser is tried again, and costs no device', async () => {
  const scene = setPushScene({ sql, vapid: newVapidKeys() });
  const { room, browser, device } = await phoneOf();
  const job = await jobOf(scene, room);
  expect(await scene.run(job)).toHaveProperty('again');
  expect(browser.received).toEqual([]);
  const error = 'The push service answered 403.';
  expect(await storedPush(sql, device)).toMatchObject({ state: 'waiting', attempts: 1, error });
  expect(await sql`select from devices where id = ${device}::uuid`).toHaveLength(1);
  await setPushScene({ sql, vapid }).run(job);
  expect(browser.received).toHaveLength(1);
});

it('a name that resolves to a private address at a later attempt is refused before the connection', async () => {
  const answers = [[], [{ address: '10.0.0.7', family: 4 }]];
  const scene = setPushScene({ sql, vapid, resolve: () => Promise.resolve(answers.shift() ?? []) });
  const { room, device } = await phoneOf();
  await sql`update devices set address = 'https://push.example.com/x' where id = ${device}::uuid`;
  const job = await jobOf(scene, room);
  expect(await scene.run(job)).toHaveProperty('again');
  expect(await scene.run(job)).toEqual({ done: true });
  const error = 'The host has an address that is not public.';
  expect(await storedPush(sql, device)).toMatchObject({ state: 'dead', attempts: 2, error });
  expect(answers).toEqual([]);
});

it('a device that has registered another subscription during the call stays', async () => {
  const scene = setPushScene({ sql, vapid });
  const { room, device } = await phoneOf();
  const renewed = service.browser();
  service.answer = (_, response) => {
    void sql`update devices set address = ${renewed.endpoint} where id = ${device}::uuid`.then(() =>
      response.writeHead(410).end(),
    );
  };
  await scene.run(await jobOf(scene, room));
  expect(await storedPush(sql, device)).toMatchObject({ state: 'dropped', reason: 'no_device' });
  expect(await sql`select address from devices where id = ${device}::uuid`).toMatchObject([
    { address: renewed.endpoint },
  ]);
});

it('a push service that calls too many devices gone removes no further one, by a push or a clear', async () => {
  const scene = setPushScene({ sql, vapid });
  const room = await makeRoom(sql, `room${++rooms}`, 'owner');
  const users = Array.from({ length: 202 }, (_, n) => `crowd${n}`);
  await sql`insert into users ${sql(users.map((id) => ({ id })))}`;
  await sql`insert into members ${sql(users.map((user) => ({ room_id: room, user_id: user, role: 'member' })))}`;
  for (const user of users) await storeDevice(sql, user, service.browser());
  const jobs = await jobsOf(scene, room);
  expect(jobs).toHaveLength(202);
  for (const job of jobs.slice(0, 190)) await scene.run(job);
  service.answer = (_, response) => void response.writeHead(410).end();
  for (const job of jobs.slice(190)) await scene.run(job);
  const metrics = await scene.metrics();
  // the tenth one is 5 % of 200 calls
  expect(total(metrics, 'parley_push_devices_removed_total')).toBe(9);
  expect(total(metrics, 'parley_push_devices_kept_total')).toBe(3);
  const [kept] = await sql<{ id: string }[]>`select id from devices where user_id like 'crowd%' limit 1`;
  const data = { device: kept?.id ?? '', room, upTo: 1 };
  await scene.run({ id: 'clear', lane: 'normal', kind: 'push-clear', data });
  expect(total(await scene.metrics(), 'parley_push_devices_kept_total')).toBe(4);
  expect(await sql`select from devices where user_id like 'crowd%'`).toHaveLength(193);
}, 60_000);

/** The texts of the statements that run by a connection and its transactions. */
function watched(statements: string[]): postgres.Sql {
  const watch = <T extends object>(target: T): T =>
    new Proxy(target, {
      apply(call, that, args: unknown[]) {
        const [texts] = args;
        if (Array.isArray(texts) && 'raw' in texts) statements.push(texts.join('?').trim());
        return Reflect.apply(call as never, that, args) as unknown;
      },
      get(from, name) {
        const value = Reflect.get(from, name) as unknown;
        if (name !== 'begin' || typeof value !== 'function') return value;
        return (work: (tx: postgres.TransactionSql) => unknown) =>
          (value as (work: (tx: postgres.TransactionSql) => unknown) => unknown).call(from, (tx) => work(watch(tx)));
      },
    });
  return watch(sql);
}

it('a message for 1,000 recipients with two devices each is expanded by two statements', async () => {
  const statements: string[] = [];
  const scene = setPushScene({ sql, vapid, ofNotifier: watched(statements) });
  const room = await makeRoom(sql, `room${++rooms}`, 'owner');
  await sql`insert into users (id) select 'guest' || n from generate_series(1, 1000) n`;
  await sql`insert into members (room_id, user_id, role) select ${room}, 'guest' || n, 'member' from generate_series(1, 1000) n`;
  await sql`
    insert into devices (id, user_id, channel, address)
    select gen_random_uuid(), 'guest' || n, 'web', 'https://push.example.com/' || n || '/' || d
    from generate_series(1, 1000) n, generate_series(1, 2) d`;
  const jobs = await jobsOf(scene, room);
  expect(jobs).toHaveLength(2000);
  expect(await sql`select from notifications where room_id = ${room}`).toHaveLength(3000);
  const transaction = statements.filter((text) => !/^select (id, entries|pg_try)/.test(text));
  expect(
    transaction.map((text) => /notification_candidates|insert into notifications|mark_notified/.exec(text)?.[0]),
  ).toEqual(['notification_candidates', 'insert into notifications', 'mark_notified']);
}, 60_000);
