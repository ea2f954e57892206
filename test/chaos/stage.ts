/** Three nodes as processes of their own on one Postgres and one Redis of the run, each behind its own proxies to both. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type postgres from 'postgres';
import { openServer } from '../../src/storage/database.ts';
import { readMetrics, total, type MetricValues } from '../support/metrics.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startOwnPostgres, startOwnRedis, type OwnService } from '../support/services.ts';
import { spawnServer, type Env, type SpawnedServer } from '../support/spawn.ts';
import { testSecret } from '../support/test-token.ts';
import { until } from '../support/until.ts';

/** The time for which a node starts again and again while a service is unavailable, as with a service manager. */
const startLimitMs = 60_000;

export class ChaosNode {
  readonly redis: Proxy;
  readonly postgres: Proxy;
  /** Faults of the node: unexpected ends, and errors in the logs. */
  readonly faults = new Set<string>();
  /** Sums of counters over the lives of the node, as far as they were read before its end. */
  readonly counted = new Map<string, number>();
  readonly #env: Env;
  #server: SpawnedServer | undefined;
  #life = new Map<string, number>();
  #url = 'http://127.0.0.1:9';

  constructor(redis: Proxy, toPostgres: Proxy, env: Env) {
    this.redis = redis;
    this.postgres = toPostgres;
    this.#env = { ...env, REDIS_URL: redis.url, DATABASE_URL: toPostgres.url };
  }

  /** Stays that of the last life while there is none: what clients know is the address. */
  get url(): string {
    return this.#url;
  }

  get pid(): number {
    return this.#server?.pid ?? 0;
  }

  /** @param more beside what a node of this stage has. */
  async start(more: Env = {}): Promise<void> {
    for (const deadline = Date.now() + startLimitMs; ;) {
      try {
        this.#server = await spawnServer({ ...this.#env, ...more });
        this.#url = this.#server.url;
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await delay(300);
      }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#server?.kill(signal);
  }

  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#fold();
    server?.kill('SIGKILL');
    await server?.exit();
    if (server !== undefined) this.#listen(server);
  }

  /** SIGTERM; fails where it does not drain and end by itself with 0. */
  async drain(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#fold();
    server.kill('SIGTERM');
    const { code, signal } = await server.exit();
    if (code !== 0) this.faults.add(`a drained node ended with ${signal ?? code}: ${server.stdout().slice(-500)}`);
    this.#listen(server);
  }

  /** @throws {Error} if it ended by itself, with the last it said. */
  requireAlive(): void {
    const server = this.#server;
    const ended = server?.ended();
    if (ended === undefined) return;
    const said = `${server?.stdout().slice(-3000)}\n${server?.stderr().slice(-3000)}`;
    throw new Error(`a node ended by itself with ${ended.signal ?? ended.code}:\n${said}`);
  }

  /** Reads logs and counters of the running process. */
  async poll(): Promise<MetricValues | undefined> {
    const server = this.#server;
    if (server === undefined) return undefined;
    this.#listen(server);
    const ended = server.ended();
    if (ended !== undefined) {
      this.faults.add(`a node ended by itself with ${ended.signal ?? ended.code}: ${server.stderr().slice(-500)}`);
      return undefined;
    }
    const metrics = await readMetrics(server.url);
    for (const name of counters) this.#life.set(name, total(metrics, name));
    if ((this.#life.get(internal) ?? 0) > 0) {
      const where = [...metrics].filter(([series, value]) => series.startsWith(internal) && value > 0);
      this.faults.add(`internal errors: ${JSON.stringify(where)}`);
    }
    return metrics;
  }

  /** The state of the node for the cause of a finding: conspicuous metrics, and the last lines of the log. */
  async account(): Promise<string> {
    const server = this.#server;
    if (server === undefined) return 'no process';
    const metrics = await readMetrics(server.url).catch(() => new Map<string, number>());
    const shown = [...metrics].filter(
      ([series, value]) =>
        value !== 0 &&
        /^parley_(conn|database|fanout|held|lease|membership|outbox|repair|redis|writer)/.test(series) &&
        !/_bucket|_sum/.test(series),
    );
    return `${server.url} pid ${server.pid}\n${shown.map(([series, value]) => `${series} ${value}`).join('\n')}\n${server.stdout().slice(-6000)}`;
  }

  count(name: Counter): number {
    return (this.counted.get(name) ?? 0) + (this.#life.get(name) ?? 0);
  }

  async stop(): Promise<void> {
    this.redis.restore();
    this.postgres.restore();
    this.signal('SIGCONT');
    await this.drain();
    await this.redis.close();
    await this.postgres.close();
  }

  #fold(): void {
    for (const [name, value] of this.#life) this.counted.set(name, (this.counted.get(name) ?? 0) + value);
    this.#life = new Map();
  }

  #listen(server: SpawnedServer): void {
    if (server.stderr() !== '') this.faults.add(`on stderr: ${server.stderr().slice(0, 2000)}`);
    for (const line of server.stdout().split('\n')) {
      if (/^\{"level":(50|60|"error"|"fatal")/.test(line)) this.faults.add(`logged: ${line.slice(0, 1500)}`);
    }
  }
}

const internal = 'parley_internal_errors_total';
const counters = [
  internal,
  'parley_fanout_repaired_total',
  'parley_outbox_relayed_total',
  'parley_writer_retries_total',
  'parley_fanout_publish_failures_total',
  'parley_slow_consumers_total',
] as const;
export type Counter = (typeof counters)[number];

/** @returns why not; undefined: it is. */
async function notReady(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/ready`);
    return response.status === 200 ? undefined : await response.text();
  } catch (error) {
    return error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error);
  }
}

export interface Stage {
  readonly nodes: readonly ChaosNode[];
  readonly postgres: OwnService;
  readonly redis: OwnService;
  /** Straight to Postgres, by no proxy; it connects again after a restart. */
  readonly sql: postgres.Sql;
  /** Makes a copy of the database from a dump of it. */
  save(): Promise<void>;
  /** Puts the copy in its place, under live connections. */
  restore(): Promise<void>;
  /** Until every node answers and is ready. */
  ready(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

const run = promisify(execFile);
const copy = 'saved';

/** The database is restored beside the live one and takes its name: so long as that takes, nodes find none. */
function backupOf(url: string): Pick<Stage, 'save' | 'restore'> {
  const name = new URL(url).pathname.slice(1);
  const at = (database: string): string => Object.assign(new URL(url), { pathname: `/${database}` }).href;
  const asAdministrator = async (...statements: string[]): Promise<void> => {
    // dropping a database makes a checkpoint
    const admin = await openServer({ url: at('template1'), poolSize: 1, statementTimeoutMs: 120_000 });
    try {
      for (const statement of statements) await admin.sql.unsafe(statement);
    } finally {
      await admin.close();
    }
  };
  return {
    async save() {
      const folder = await mkdtemp(join(tmpdir(), 'parley-chaos-'));
      try {
        const file = join(folder, 'dump');
        await run('pg_dump', ['-Fc', '-f', file, url]);
        // not from template1, where the administrator is
        await asAdministrator(`drop database if exists ${copy}`, `create database ${copy} template template0`);
        await run('pg_restore', ['-d', at(copy), file]);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    restore: () => asAdministrator(`drop database ${name} with (force)`, `alter database ${copy} rename to ${name}`),
  };
}

export async function openStage(size: number, env: Env = {}): Promise<Stage> {
  const ends: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end();
  };
  try {
    const postgres = await startOwnPostgres({ fsync: true });
    ends.push(() => postgres.stop());
    const redis = await startOwnRedis();
    ends.push(() => redis.stop());
    const nodes: ChaosNode[] = [];
    for (let i = 0; i < size; i++) {
      const node = new ChaosNode(await startProxy(redis.url), await startProxy(postgres.url), {
        PARLEY_JWT_SECRET: testSecret,
        PARLEY_NODE: `node-${i}`,
        PARLEY_DRAIN_MS: '500',
        // in all what a node has by default, whose drain is longer: a fault of Postgres may fall into it
        PARLEY_SHUTDOWN_MS: '30000',
        PARLEY_PING_INTERVAL_MS: '2000',
        PARLEY_PING_TIMEOUT_MS: '2000',
        PARLEY_COMMANDS_PER_SECOND: '1000000',
        PARLEY_COMMAND_BURST: '1000000',
        PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '100000',
        PARLEY_CONNECTS_PER_MINUTE_PER_USER: '100000',
        ...env,
      });
      nodes.push(node);
      ends.push(() => node.stop());
    }
    // the first one alone: it migrates
    await nodes[0]?.start();
    await Promise.all(nodes.slice(1).map((node) => node.start()));
    const database = await openServer({ url: postgres.url, poolSize: 2 });
    ends.push(() => database.close());
    const { sql } = database;
    const ready = async (limitMs: number): Promise<void> => {
      for (const node of nodes) {
        let reason: string | undefined;
        const poll = async (): Promise<boolean> => {
          node.requireAlive();
          return (reason = await notReady(node.url)) === undefined;
        };
        await until(() => `${node.url} is ready: ${reason}`, poll, limitMs);
      }
    };
    await ready(startLimitMs);
    return { nodes, postgres, redis, sql, ...backupOf(postgres.url), ready, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
