import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { FailedTests } from './failed-tests.ts';
import { LongestFirst } from './longest-first.ts';

/**
 * Folders whose files share processes, one file after the other. A process of its own that loads the server costs a file two
 * seconds of processor, as much as most of these tests. The second group has its own processes, because its files load less
 * of the server.
 */
const sharing = {
  shared: ['api', 'commands', 'config', 'connect', 'messages', 'receipts', 'rooms', 'sessions', 'threads'],
  parts: ['fanout', 'jobs', 'protocol', 'rates', 'recovery', 'transport'],
} as const;
/** Files that measure memory, that block the event loop, or that need the signals or the timers of a process. */
const alone: ReadonlySet<string> = new Set([
  'test/api/bridge/streams.test.ts',
  'test/api/streams/slow.test.ts',
  'test/commands/load-shedding.test.ts',
  'test/commands/user-shares.test.ts',
  'test/messages/histories.test.ts',
]);

const root = fileURLToPath(new URL('..', import.meta.url));
const filesOf = (folders: readonly string[]): string[] =>
  folders
    .flatMap((folder) =>
      readdirSync(`${root}test/${folder}`, { recursive: true, encoding: 'utf8' }).map(
        (file) => `test/${folder}/${file}`,
      ),
    )
    .filter((file) => file.endsWith('.test.ts') && !alone.has(file));
const [shared, parts] = [filesOf(sharing.shared), filesOf(sharing.parts)];

function project(name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      root,
      setupFiles: ['test/support/leaks.ts', 'test/support/checked-fetch.ts'],
      // Worker threads would share one process: uWebSockets.js and signals belong to the process.
      pool: 'forks',
      // tests of one file that only wait, with `concurrent`
      maxConcurrency: 20,
      // limits for a busy machine; a test that hangs is reported all the same
      testTimeout: 60_000,
      hookTimeout: 120_000,
      ...test,
    },
  };
}

const failures = process.env['TEST_FAILURES'];

export default defineConfig({
  test: {
    reporters: ['default', ...(failures === undefined ? [] : [new FailedTests(failures)])],
    root,
    globalSetup: ['test/support/global-setup.ts'],
    // Most tests wait for servers: with two workers a third of the two cores was idle. Four made tests of time limits unsteady,
    // and ended no earlier: no core was idle.
    maxWorkers: 3,
    teardownTimeout: 30_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      project('alone', { include: ['test/**/*.test.ts'], exclude: [...shared, ...parts] }),
      project('shared', { include: shared, isolate: false }),
      project('parts', { include: parts, isolate: false }),
    ],
  },
});
