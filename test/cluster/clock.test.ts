/** A node whose clock is ten minutes off serves rightly: times that are compared come from Postgres or Redis. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { wrongClock } from '../support/faketime.ts';
import { spawnServer, type Env, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { testSecret, undatedTokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const servers: SpawnedServer[] = [];
const clients: StockClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) {
    server.kill('SIGTERM');
    await server.exit();
  }
});

async function start(env: Env): Promise<SpawnedServer> {
  const server = await spawnServer({
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: 'clock:',
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_DRAIN_MS: '0',
    ...env,
  });
  servers.push(server);
  return server;
}

async function enter(server: SpawnedServer, user: string): Promise<StockClient> {
  const client = await connectStock(server.url, await undatedTokenOf(user));
  clients.push(client);
  return client;
}

const here = wrongClock(0) !== undefined;

describe.skipIf(!here).each([600, -600])('a node whose clock is %d s off (skipped without libfaketime)', (seconds) => {
  it('mutes, limits and expires by the clock of Postgres, and says that its own is wrong', async () => {
    const wrong = await start(wrongClock(seconds) ?? {});
    const right = await start({});
    const [ann, ben] = [await enter(wrong, 'ann'), await enter(right, 'ben')];
    const room = `room${seconds < 0 ? 'behind' : 'ahead'}`;
    await ann.ok('room:create', { kind: 'channel', name: 'Room', id: room });
    await ann.ok('room:update', { room, slowMode: 30 });
    await ben.ok('room:join', { room });

    // a mute of 4 s that the wrong node sets holds on both, and ends
    const { until: end } = (await ann.ok('room:mute', { room, user: 'ben', seconds: 4 })) as { until: number };
    expect(Math.abs(end - Date.now() - 4000)).toBeLessThan(3000);
    expect(await ben.error('message:send', text(room, 'muted'))).toMatchObject({ code: 'forbidden' });
    const other = await enter(wrong, 'ben');
    expect(await other.error('signal', { room, name: 'typing', expires: 1000 })).toMatchObject({ code: 'forbidden' });
    await until('the mute is over on the wrong node', async () => {
      const signal = { room, name: 'typing', expires: 1000 };
      const answer = (await other.socket.timeout(5000).emitWithAck('signal', signal)) as { ok: boolean };
      return answer.ok;
    });

    // slow mode: what is left of 30 s, not of ten minutes
    await other.ok('message:send', text(room, 'one'));
    const refused = await other.error('message:send', text(room, 'two'));
    expect(refused.code).toBe('rate_limited');
    expect(refused.retryAfter).toBeGreaterThan(15_000);
    expect(refused.retryAfter).toBeLessThanOrEqual(30_000);

    // a link made there is good here
    const { link, token } = (await ann.ok('link:create', { room, role: 'member', seconds: 60 })) as {
      link: { at: number; expires: number };
      token: string;
    };
    expect(link.expires - link.at).toBe(60_000);
    expect(Math.abs(link.at - Date.now())).toBeLessThan(5000);
    await (await enter(right, 'cem')).ok('link:join', { token });

    // messages and presence cross both ways
    await until('ben receives on the right node', () => ben.received('message').length > 0);
    await ben.ok('presence:watch', { users: ['ann'] });
    ann.close();
    await until('ann is seen to leave', () => ben.received('presence').some(({ online }) => !online), 20_000);

    const offset = await until('it is measured', async () =>
      (await wrong.metrics()).get('parley_database_clock_offset_seconds'),
    );
    expect(Math.abs(offset + seconds)).toBeLessThan(2);
    expect(wrong.stdout()).toContain('The clocks of this node and of Postgres differ');
    expect((await fetch(`${wrong.url}/ready`)).status).toBe(200);
  }, 90_000);
});
