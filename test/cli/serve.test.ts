import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertDense } from '../support/messaging.ts';
import { connectRaw } from '../support/raw-client.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { makeDataDir, runProgram, spawnServer, type DataDir } from '../support/spawn.ts';
import { connectStock, text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

describe('the embedded demo', () => {
  let dataDir: DataDir;
  beforeAll(() => {
    dataDir = makeDataDir();
  });
  afterAll(() => dataDir.remove());

  it('keeps its state over a restart, lets guests in, and has its folder for itself', async () => {
    const env = { PARLEY_DATA_DIR: dataDir.path };
    const first = await spawnServer(env);
    expect(first.stdout()).toContain(`data   ${dataDir.path}`);
    const printed = /token {2}(\S+)/.exec(first.stdout())?.[1] ?? '';
    (await connectStock(first.url, printed)).close();

    const guest = await fetch(`${first.url}/api/v1/auth/guest`, { method: 'POST', body: '{"name":" Visitor "}' });
    expect(guest.status).toBe(200);
    const { token, user } = (await guest.json()) as { token: string; user: { id: string; name: string } };
    expect(user).toEqual({ id: expect.stringMatching(/^guest-[\w-]{12}$/) as unknown, name: 'Visitor' });
    const visitor = await connectStock(first.url, token);
    const { room } = await visitor.ok('room:create', { kind: 'group', name: 'Kept' });
    await visitor.ok('message:send', text(room.id, 'remember me'));
    const { key } = await visitor.ok('device:list', {});
    expect(key).toMatch(/^B[\w-]{86}$/);
    visitor.close();

    const second = await runProgram(['serve'], { ...env, PORT: '0' });
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toBe(`The data folder ${dataDir.path} is in use by another Parley process\n`);
    const made = await runProgram(['token', '--user', 'cli'], env);
    (await connectStock(first.url, made.stdout.trim())).close();

    first.kill('SIGTERM');
    expect(await first.exit()).toEqual({ code: 0, signal: null });
    expect(first.stderr()).toBe('');
    for (const secret of ['jwt-secret', 'vapid-private-key'])
      expect(statSync(join(dataDir.path, secret)).mode & 0o077).toBe(0);

    const again = await spawnServer(env);
    const back = await connectStock(again.url, token);
    expect((await back.event('ready')).rooms).toMatchObject([{ id: room.id, name: 'Kept', seq: 1 }]);
    expect((await back.ok('history', { room: room.id })).messages).toMatchObject([
      { body: 'remember me', name: 'Visitor' },
    ]);
    expect((await back.ok('device:list', {})).key).toBe(key);
    back.close();
    again.kill('SIGINT');
    expect(await again.exit()).toEqual({ code: 0, signal: null });
  }, 90_000);
});

describe('a server on Postgres', () => {
  let database: TestDatabase;
  let env: Record<string, string>;
  beforeAll(async () => {
    database = await createTestDatabase();
    env = {
      DATABASE_URL: database.url,
      PARLEY_JWT_SECRET: testSecret,
      PARLEY_COMMANDS_PER_SECOND: '100000',
      PARLEY_COMMAND_BURST: '100000',
    };
  });
  afterAll(() => database.drop());

  it('has the database for itself, and gives no tokens to guests', async () => {
    const server = await spawnServer(env);
    expect(server.stdout()).not.toContain('token');
    const guest = await fetch(`${server.url}/api/v1/auth/guest`, { method: 'POST', body: '{"name":"x"}' });
    expect(guest.status).toBe(403);
    expect(await guest.json()).toMatchObject({ error: { code: 'forbidden' } });
    const second = await runProgram(['serve'], { ...env, PORT: '0' });
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toBe(
      'Another Parley process is using this database; set REDIS_URL to run several processes\n',
    );
    server.kill('SIGTERM');
    expect(await server.exit()).toEqual({ code: 0, signal: null });
  }, 60_000);

  it('stopped while clients send has everything committed that it acknowledged, and sends the clients `drain`', async () => {
    const server = await spawnServer(env);
    const client = await connectRaw(server.url, await tokenOf('ann'));
    client.send('421["room:create",{"kind":"channel","name":"Last","id":"last"}]');
    await client.next('431[');
    const ids = new Map<number, string>();
    let next = 100;
    const sendSome = () => {
      for (let n = 0; n < 20 && client.closed() === undefined; n++) {
        const id = crypto.randomUUID();
        ids.set(next, id);
        client.send(`42${next++}["message:send",{"room":"last","id":"${id}","body":${n}}]`);
      }
    };
    client.ws.on('message', (data: Buffer) => {
      if (data.toString().startsWith('43') && next < 20_000) sendSome();
    });
    sendSome();
    await until('some are acknowledged', () => client.frames.filter((frame) => frame.startsWith('43')).length > 300);
    server.kill('SIGTERM');
    expect(await server.exit()).toEqual({ code: 0, signal: null });
    expect(await client.untilClosed()).toEqual({ code: 1001, reason: 'draining' });

    const acked = client.frames.flatMap((frame) => {
      const found = /^43(\d+)\[\{"ok":true,"seq":(\d+)/.exec(frame);
      return found === null ? [] : [{ id: ids.get(Number(found[1])), seq: Number(found[2]) }];
    });
    const rows = await database.sql<{ id: string; seq: number }[]>`select id, seq from messages where room_id = 'last'`;
    const stored = new Map(rows.map(({ id, seq }) => [id, seq]));
    expect(acked.length).toBeGreaterThan(300);
    expect(acked.filter(({ id, seq }) => stored.get(id ?? '') !== seq)).toEqual([]);
    await assertDense(database.sql);
  }, 60_000);
});
