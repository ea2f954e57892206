import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import uWS, { type us_listen_socket } from 'uWebSockets.js';
import { serveFetch } from '../../src/api/bridge/bridge.ts';
import { Callers } from '../../src/api/callers.ts';
import { Guests } from '../../src/api/guests.ts';
import { Idempotency } from '../../src/api/idempotency.ts';
import { openApi } from '../../src/api/openapi.ts';
import { routeOperations } from '../../src/api/operation.ts';
import { RequestRates } from '../../src/api/request-rates.ts';
import { problemResponse, restFetch } from '../../src/api/rest.ts';
import { apiPrefix } from '../../src/protocol/http-route.ts';
import { authHandlers } from '../../src/api/routes/auth.ts';
import { ClientAddress } from '../../src/http/client-address.ts';
import { ParleyError } from '../../src/protocol/errors.ts';
import { authRoutes } from '../../src/protocol/routes/auth.ts';
import { MemoryRates } from '../../src/rates/memory.ts';
import { TokenVerifier } from '../../src/sessions/tokens.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { describeAnswers } from '../support/checked-fetch.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { testSecret } from '../support/server.ts';

let url: string;
let app: uWS.TemplatedApp;
let guests: Guests;
let database: TestDatabase;
let idempotency: Idempotency;
const perMinute = 8;
const maxBodyBytes = 64 * 1024;
const nobody = (): Promise<never> => Promise.reject(new ParleyError('unauthorized'));
const failed = (error: unknown): void => {
  throw error;
};
const signing = { secret: testSecret, issuer: 'demo', audience: 'chat' };

beforeAll(async () => {
  const metrics = new Metrics();
  database = await createTestDatabase();
  const { sql } = database;
  idempotency = new Idempotency({ sql, background: sql, metrics, log: silentLog });
  const parts = { metrics, log: silentLog, idempotency };
  app = uWS.App();
  guests = new Guests({ signing, perMinute, metrics });
  const verifier = await TokenVerifier.create({ secrets: [testSecret] });
  const operations = routeOperations(
    authRoutes,
    authHandlers({ signing, verifier, guests, wallet: undefined, log: silentLog }),
  );
  // one request an hour for everybody else: the guests have a rate of their own
  const settings = { requestTiers: ['anonymous=1'], sensitiveRequestsPerMinute: 1 };
  const rates = new RequestRates({ ...settings, rates: new MemoryRates(), metrics });
  const callers = new Callers({ verifier, admit: nobody, keys: { verify: nobody } });
  const fetching = restFetch({ ...parts, operations, callers, rates }, { origins: undefined, localOrigins: true });
  const clientAddress = new ClientAddress(['127.0.0.1']);
  serveFetch(app, apiPrefix, fetching, { clientAddress, maxBodyBytes, failed, problem: problemResponse });
  const socket = await new Promise<us_listen_socket | false>((resolve) => app.listen('127.0.0.1', 0, resolve));
  describeAnswers(openApi(operations, 'test'));
  url = `http://127.0.0.1:${uWS.us_socket_local_port(socket as never)}/api/v1/auth/guest`;
});
afterAll(async () => {
  guests.stop();
  app.close();
  await idempotency.stop();
  await database.drop();
});

const ask = (body: string, headers: Record<string, string> = {}) => fetch(url, { method: 'POST', body, headers });

const from = async (address: string) =>
  (await ask('{"name":"Ben"}', { 'x-forwarded-for': `192.0.2.1, ${address}` })).status;

describe('POST /api/v1/auth/guest', () => {
  it('gives a token for a display name, refuses other names, and limits the guests of a minute', async () => {
    const good = await ask('{"name":"  Ann  "}');
    expect(good.status).toBe(200);
    const { token, user } = (await good.json()) as { token: string; user: { id: string; name: string } };
    const verifier = await TokenVerifier.create({ secrets: [testSecret], issuer: 'demo', audience: 'chat' });
    expect(await verifier.verify(token)).toMatchObject({ user: user.id, name: 'Ann' });

    for (const body of ['', 'name=Ann', '{}', '{"name":""}', '{"name":7}', `{"name":"${'x'.repeat(41)}"}`]) {
      const bad = await ask(body);
      expect([body, bad.status]).toEqual([body, 400]);
      expect(bad.headers.get('content-type')).toBe('application/problem+json');
      // clients from before the problems read `error`
      expect(await bad.json()).toMatchObject({ status: 400, error: { code: 'invalid', retryable: false } });
    }
    expect((await ask('x'.repeat(maxBodyBytes + 1))).status).toBe(413);

    for (let n = 1; n < perMinute; n++) expect((await ask('{"name":"Ann"}')).status).toBe(200);
    const over = await ask('{"name":"Ann"}');
    expect(over.status).toBe(429);
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await over.json()).toMatchObject({
      code: 'rate_limited',
      error: { code: 'rate_limited', retryable: true },
    });
  });

  it('counts the clients of a trusted proxy apart, a network of IPv6 as one', async () => {
    for (let n = 1; n <= perMinute; n++) expect(await from(`2001:db8::${n}`)).toBe(200);
    expect(await from('2001:db8::ffff')).toBe(429);
    expect(await from('2001:db8:0:1::1')).toBe(200);
    expect(await from('198.51.100.1')).toBe(200);
  });

  it('answers pages of the origins that may connect, errors too, and refuses the others', async () => {
    const address = { 'x-forwarded-for': '198.51.100.7' };
    const requested = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
    const preflight = (origin: string) => fetch(url, { method: 'OPTIONS', headers: { ...requested, origin } });
    for (const origin of ['http://localhost:5173', 'http://127.0.0.1:1', 'http://[::1]:8080', new URL(url).origin]) {
      const allowed = await preflight(origin);
      expect([origin, allowed.status]).toEqual([origin, 204]);
      expect(allowed.headers.get('access-control-allow-origin')).toBe(origin);
      expect(allowed.headers.get('access-control-allow-methods')).toContain('POST');
      expect(allowed.headers.get('access-control-allow-headers')?.toLowerCase()).toContain('content-type');
      const good = await ask('{"name":"Ann"}', { origin, ...address });
      expect([good.status, good.headers.get('access-control-allow-origin')]).toEqual([200, origin]);
      expect(good.headers.get('vary')).toBe('Origin');
      const bad = await ask('{', { origin, ...address });
      expect([bad.status, bad.headers.get('access-control-allow-origin')]).toEqual([400, origin]);
    }
    for (const origin of ['https://evil.example', 'http://localhost.evil.example', 'null', 'nonsense']) {
      for (const refused of [await preflight(origin), await ask('{"name":"Ann"}', { origin, ...address })]) {
        expect([origin, refused.status]).toEqual([origin, 403]);
        expect(refused.headers.get('access-control-allow-origin')).toBeNull();
        expect(await refused.json()).toMatchObject({ code: 'forbidden' });
      }
    }
  });
});
