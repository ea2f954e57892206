import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './longest-first.ts';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/leaks.ts', 'test/support/checked-fetch.ts'],
    // Worker threads would share one process: uWebSockets.js and signals belong to the process.
    pool: 'forks',
    // Most tests wait for servers: with two workers a third of the two cores stood idle, and CI took 19 minutes.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // limits for a busy machine; a test that hangs is reported all the same
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
