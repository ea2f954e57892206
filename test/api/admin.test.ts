/** Routes for operators may have a separate port, and stay cheap under many requests. */
import { afterEach, expect, it } from 'vitest';
import { startApp, type RunningApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { paced } from '../../src/telemetry/paced.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/server.ts';

let database: TestDatabase;
let app: RunningApp;
afterEach(async () => {
  await app.stop();
  await database.drop();
});

async function start(env: Record<string, string>): Promise<void> {
  database = await createTestDatabase();
  const settings = { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret, PARLEY_LOG_LEVEL: 'silent', PORT: '0' };
  app = await startApp(loadConfig({ ...settings, PARLEY_HOST: '127.0.0.1', ...env }), (error) => {
    throw error;
  });
}

const get = async (url: string | undefined, path: string): Promise<{ status: number; body: string }> => {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, body: await response.text() };
};

it('with an admin port the public port has no metrics and no results of checks', async () => {
  await start({ PARLEY_ADMIN_PORT: '0' });
  expect((await get(app.url, '/metrics')).status).toBe(404);
  expect(await get(app.url, '/ready')).toEqual({ status: 200, body: '{"ready":true}' });
  expect((await get(app.url, '/health')).status).toBe(200);
  expect((await get(app.adminUrl, '/metrics')).body).toContain('parley_connections 0');
  expect(JSON.parse((await get(app.adminUrl, '/ready')).body)).toMatchObject({
    ready: true,
    checks: { database: { ok: true }, migrations: { ok: true } },
  });
  // nothing of the public port is there
  expect((await get(app.adminUrl, '/')).status).toBe(404);
  expect((await get(app.adminUrl, '/socket.io/?EIO=4&transport=polling')).status).toBe(404);
  expect((await fetch(`${app.adminUrl}/metrics`, { method: 'POST' })).status).toBe(405);
});

it('without one both are on the public port', async () => {
  await start({});
  expect(app.adminUrl).toBeUndefined();
  expect((await get(app.url, '/metrics')).status).toBe(200);
  expect((await get(app.url, '/ready')).body).toContain('"migrations":{"ok":true');
});

it('many requests for metrics share one text, made after a pause, which is never older than the request', async () => {
  await start({});
  let made = 0;
  const text = paced(async () => {
    const mine = ++made;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return mine;
  });
  const from = performance.now();
  const [first, ...others] = await Promise.all(Array.from({ length: 200 }, () => text()));
  expect(first).toBe(1);
  expect(new Set(others).size).toBeLessThanOrEqual(2);
  const before = made;
  expect(await text()).toBe(before + 1);
  // 20 ms of work, then 80 ms of pause
  for (let n = 0; n < 4; n++) await text();
  expect(made).toBeLessThanOrEqual(before + 5);
  expect(performance.now() - from).toBeGreaterThan((made - 1) * 95);
});

it('a failure to make metrics is its own caller’s, and the next request gets them', async () => {
  await start({});
  let fails = true;
  const text = paced(() => (fails ? Promise.reject(new Error('once')) : Promise.resolve('well')));
  await expect(text()).rejects.toThrow('once');
  fails = false;
  expect(await text()).toBe('well');
});
