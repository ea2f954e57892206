/** `parley serve --workers N` as its operator sees it: by its log, its port and its processes. */
import { inject } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/test-token.ts';
import { spawnServer, type Env, type SpawnedServer } from '../support/spawn.ts';
import { until } from '../support/until.ts';

export interface LogLine {
  readonly msg: string;
  readonly worker?: number;
  /** A worker names its node in its own lines. */
  readonly node?: string;
  readonly pid: number;
  readonly restartInMs?: number;
  readonly reason?: string;
  readonly code?: number | null;
}

export interface WorkerGroup extends SpawnedServer {
  log(message: string): LogLine[];
  /** Process ids of the workers that are ready, by place. */
  workers(): number[];
}

export function groupEnv(database: TestDatabase, prefix: string): Env {
  return {
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: prefix,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_LOG_LEVEL: 'info',
    PARLEY_DRAIN_MS: '300',
    PARLEY_WORKERS: '2',
    PARLEY_NODE: 'node',
    PARLEY_DATABASE_POOL_SIZE: '4',
  };
}

export async function startGroup(env: Env): Promise<WorkerGroup> {
  const server = await spawnServer(env);
  const lines = (): LogLine[] =>
    server
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  const log = (message: string): LogLine[] => lines().filter(({ msg }) => msg === message);
  const workers = (): number[] => {
    const byPlace = new Map(log('A worker is ready.').map(({ worker = 0, pid }) => [worker, pid]));
    return [...byPlace].sort(([a], [b]) => a - b).map(([, pid]) => pid);
  };
  // the log comes in pieces, and the last lines of it after the line of the port
  await until('the log names all workers', () => workers().length === Number(env['PARLEY_WORKERS']));
  return { ...server, log, workers };
}

export async function endGroup(server: WorkerGroup | undefined): Promise<void> {
  if (server === undefined || server.ended() !== undefined) return;
  const pids = server.workers();
  server.kill('SIGTERM');
  server.kill('SIGTERM');
  await server.exit();
  await until('its workers are gone', () => pids.every((pid) => !alive(pid)));
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
