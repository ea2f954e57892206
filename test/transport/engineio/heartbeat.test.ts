import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openRaw } from '../../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../../support/server.ts';
import { until } from '../../support/until.ts';

let server: TestServer;
/** On a busy machine a CONNECT takes longer than this server allows, so the other tests have a server with the default. */
let impatient: TestServer;
let token: string;

beforeAll(async () => {
  server = await startServer({ PARLEY_PING_INTERVAL_MS: '1000', PARLEY_PING_TIMEOUT_MS: '1000' });
  impatient = await startServer({ PARLEY_CONNECT_TIMEOUT_MS: '2000' });
  token = await tokenOf('ann');
});
afterAll(() => Promise.all([server.stop(), impatient.stop()]));

const closedFor = async (reason: string, on = server) =>
  (await on.metrics()).get(`parley_connections_closed_total{reason="${reason}"}`);

describe('the heartbeat', () => {
  it('comes to every connection each interval, keeps those that answer, and closes the silent ones', async () => {
    const silent = await connectRaw(server.url, token, { silent: true });
    const lively = await connectRaw(server.url, token);
    await silent.untilClosed();
    expect(silent.frames).toContain('2');
    await until('the reason is counted', async () => (await closedFor('heartbeat')) === 1);
    expect(lively.closed()).toBeUndefined();
    await lively.close();
  });

  it('closes a connection that does not CONNECT in time', async () => {
    const client = await openRaw(impatient.url);
    expect(await client.untilClosed()).toEqual({ code: 4408, reason: 'connect_timeout' });
    await until('the reason is counted', async () => (await closedFor('connect_timeout', impatient)) === 1);
  });

  it('closes one whose CONNECTs are all refused in time, too', async () => {
    const client = await openRaw(impatient.url);
    client.send('40{"token":"bad"}');
    await client.next('44');
    expect(await client.untilClosed()).toEqual({ code: 4408, reason: 'connect_timeout' });
  });
});
