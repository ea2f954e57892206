/** The log of a failed request. */
import { expect, it } from 'vitest';
import { Callers } from '../../src/api/callers.ts';
import { Idempotency } from '../../src/api/idempotency.ts';
import { ApiKey } from '../../src/api/keys/api-key.ts';
import { StoredKeys } from '../../src/api/keys/stored-keys.ts';
import { openApi } from '../../src/api/openapi.ts';
import { routeOperations } from '../../src/api/operation.ts';
import { RequestRates } from '../../src/api/request-rates.ts';
import { restFetch } from '../../src/api/rest.ts';
import { keyHandlers } from '../../src/api/routes/keys.ts';
import { ParleyError } from '../../src/protocol/errors.ts';
import { keyRoutes } from '../../src/protocol/routes/keys.ts';
import { MemoryRates } from '../../src/rates/memory.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { assertDescribed, describeAnswers, describedBy } from '../support/checked-fetch.ts';
import { createTestDatabase } from '../support/database.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const nobody = (): Promise<never> => Promise.reject(new ParleyError('unauthorized'));
const rights = { name: 'admin', scopes: ['admin'], rooms: ['*'], networks: [], expiresAt: undefined } as const;
const verify = () => Promise.resolve(new ApiKey({ ...rights, id: 'a'.repeat(12), perHour: 1000 }));

it('the log has the id and the trace of a failed request, and neither its body nor its key', async () => {
  const database = await createTestDatabase();
  const { sql } = database;
  let lines = '';
  const log = createLog({ level: 'trace', pretty: false, node: 'test' }, (line) => (lines += line));
  const metrics = new Metrics();
  const idempotency = new Idempotency({ sql, background: sql, metrics, log });
  const keys = new StoredKeys(sql, { maxKeys: 100, requestsPerHour: 1000, overlapMs: 0 });
  const settings = { requestTiers: [], sensitiveRequestsPerMinute: 100 };
  const operations = routeOperations(keyRoutes, keyHandlers(keys));
  describeAnswers(openApi(operations, 'test'));
  const fetching = restFetch(
    {
      operations,
      callers: new Callers({ verifier: { verify: nobody }, admit: nobody, keys: { verify } }),
      rates: new RequestRates({ ...settings, rates: new MemoryRates(), metrics }),
      idempotency,
      metrics,
      log,
    },
    { origins: undefined, localOrigins: false },
  );
  await sql`alter table api_keys rename to api_keys_elsewhere`;
  const request = new Request('http://localhost/api/v1/keys', {
    method: 'POST',
    headers: {
      authorization: 'Bearer pk_of-the-caller',
      'content-type': 'application/json',
      'x-request-id': 'failed-1',
      traceparent: `00-${trace}-00f067aa0ba902b7-01`,
    },
    body: JSON.stringify({ name: 'words of the body', scopes: ['publish'] }),
  });
  const answer = await fetching(request, { address: '192.0.2.1' });
  const body = await answer.text();
  const { status, headers } = answer;
  const answers = await describedBy('http://localhost');
  assertDescribed(answers, {
    method: 'POST',
    target: '/api/v1/keys',
    status,
    headers: new Headers([...headers]),
    body,
  });
  expect(JSON.parse(body)).toMatchObject({ status: 500, code: 'internal', requestId: 'failed-1' });
  expect(lines).toContain('"requestId":"failed-1"');
  expect(lines).toContain(`"trace":"${trace}"`);
  expect(lines).not.toContain('words of the body');
  expect(lines).not.toContain('of-the-caller');
  await idempotency.stop();
  await database.drop();
});
