import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { laneContract } from '../../contract/lanes.contract.ts';

laneContract('Redis', () =>
  Promise.resolve({ redisUrl: inject('redisUrl'), prefix: `test-${randomBytes(6).toString('hex')}:` }),
);
