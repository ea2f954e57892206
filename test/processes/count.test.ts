import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { workerCount } from '../../src/cli/supervise.ts';

const shared = { DATABASE_URL: 'postgres://127.0.0.1/x', REDIS_URL: 'redis://127.0.0.1' };

it('of workers is what the flag says, else the configuration; auto is one a core', () => {
  expect(workerCount('auto', loadConfig(shared))).toBe(availableParallelism());
  expect(workerCount(undefined, loadConfig({ ...shared, PARLEY_WORKERS: 'auto' }))).toBe(availableParallelism());
  expect(workerCount('3', loadConfig({ ...shared, PARLEY_WORKERS: '5' }))).toBe(3);
  expect(workerCount('256', loadConfig(shared))).toBe(256);
  expect(() => workerCount('257', loadConfig(shared))).toThrow('a whole number from 1 to 256');
  expect(workerCount(undefined, loadConfig(shared))).toBeUndefined();
});

it('of more than one is refused without Redis', () => {
  const alone = loadConfig({ DATABASE_URL: shared.DATABASE_URL });
  expect(workerCount('1', alone)).toBeUndefined();
  expect(() => workerCount('2', alone)).toThrow('2 workers need DATABASE_URL and REDIS_URL');
});
