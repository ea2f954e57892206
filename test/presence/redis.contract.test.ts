import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { RedisPresence } from '../../src/presence/redis.ts';
import { openRedis } from '../../src/storage/redis.ts';
import { presenceContract } from '../contract/presence.contract.ts';
import { silentLog } from '../support/messaging.ts';

presenceContract('Redis', async (listener) => {
  const redis = await openRedis({ url: inject('redisUrl'), log: silentLog });
  const prefix = `test-${randomBytes(6).toString('hex')}:`;
  const presence = new RedisPresence({ redis, prefix, node: 'n', listener, log: silentLog });
  const close = async (): Promise<void> => {
    await presence.close();
    await redis.close();
  };
  return { presence, close };
});
