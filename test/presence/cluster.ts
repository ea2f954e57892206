/** Several spawned servers on one database and one Redis. `npm run build` must have been run. */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';

export interface Cluster {
  readonly database: TestDatabase;
  /** The configuration of the nodes. */
  readonly env: Readonly<Record<string, string>>;
  start(more?: Record<string, string>): Promise<SpawnedServer>;
  /** Ends all nodes, in whatever state they are, and drops the database. */
  stop(): Promise<void>;
}

export async function startCluster(redisUrl = inject('redisUrl')): Promise<Cluster> {
  const database = await createTestDatabase();
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl,
    PARLEY_REDIS_PREFIX: `test-${randomBytes(6).toString('hex')}:`,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_LOG_LEVEL: 'error',
    PARLEY_DRAIN_MS: '200',
    // tests query until a condition holds
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
  };
  const nodes: SpawnedServer[] = [];
  return {
    database,
    env,
    async start(more = {}) {
      const node = await spawnServer({ ...env, ...more });
      nodes.push(node);
      return node;
    },
    async stop() {
      for (const node of nodes) {
        node.kill('SIGKILL');
        await node.exit();
      }
      await database.drop();
    },
  };
}
