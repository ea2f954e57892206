import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startRedis } from './services.ts';

describe('services for tests', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('start a Redis that answers, and stop it', async () => {
    const redis = await startRedis();
    const { hostname, port } = new URL(redis.url);
    const socket = connect(Number(port), hostname);
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toBe('+PONG\r\n');
    socket.destroy();
    if (redis.origin === 'TEST_REDIS_URL') return;
    await redis.stop();
    const refused = connect(Number(port), hostname);
    await expect(once(refused, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('use the address of the environment before anything else', async () => {
    vi.stubEnv('TEST_REDIS_URL', 'redis://elsewhere:6379');
    expect(await startRedis()).toMatchObject({ url: 'redis://elsewhere:6379', origin: 'TEST_REDIS_URL' });
  });

  it('fail with what to install where there is no way', async () => {
    vi.stubEnv('TEST_REDIS_URL', '');
    vi.stubEnv('PATH', '/nonexistent');
    await expect(startRedis()).rejects.toThrow(/The tests need Redis 7 or later\. Install it .*or set TEST_REDIS_URL/s);
  });
});
