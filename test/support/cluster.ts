/** Several nodes of Parley in the test's process, on one database and one Redis, each behind a proxy of its own. */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { startServer, tokenOf, type TestServer } from './server.ts';
import { connectStock, type StockClient, type StockOptions } from './stock-client.ts';
import { until } from './until.ts';

export interface TestNode extends TestServer {
  /** Between this node and Redis. */
  readonly redis: Proxy;
  /** Whether it knows that Redis is there. */
  reach(): Promise<boolean>;
}

export interface Cluster {
  readonly nodes: readonly TestNode[];
  readonly database: TestDatabase;
  /** The prefix of the keys and channels in Redis. */
  readonly prefix: string;
  /** Starts one more node. */
  grow(): Promise<void>;
  /** A client that has had `ready`; it is closed with the cluster. */
  connect(node: number, user: string, options?: StockOptions): Promise<StockClient>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly env?: Record<string, string>;
  /** Another Redis than the one that all test files share. */
  readonly redisUrl?: string;
}

export async function startCluster(size: number, { env = {}, redisUrl }: ClusterOptions = {}): Promise<Cluster> {
  const database = await createTestDatabase();
  const prefix = `test-${randomBytes(6).toString('hex')}:`;
  const nodes: TestNode[] = [];
  const clients: StockClient[] = [];
  const stop = async (): Promise<void> => {
    for (const client of clients) client.close();
    for (const node of nodes) {
      node.redis.restore();
      await node.stop();
      await node.redis.close();
    }
    await database.drop();
  };
  const grow = async (): Promise<void> => {
    const redis = await startProxy(redisUrl ?? inject('redisUrl'));
    const name = `node-${nodes.length}`;
    const own = { REDIS_URL: redis.url, PARLEY_REDIS_PREFIX: prefix, PARLEY_NODE: name, PARLEY_DRAIN_MS: '0' };
    try {
      const server = await startServer({ ...own, ...env }, database);
      const reach = async (): Promise<boolean> => (await server.metrics()).get('parley_redis_up{link="events"}') === 1;
      nodes.push({ ...server, redis, reach });
    } catch (error) {
      await redis.close();
      throw error;
    }
  };
  try {
    for (let i = 0; i < size; i++) await grow();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes,
    database,
    prefix,
    grow,
    async connect(node, user, options) {
      const client = await connectStock((nodes[node] as TestNode).url, await tokenOf(user), options);
      clients.push(client);
      return client;
    },
    stop,
  };
}

/** The bodies that the client received in the room, once there are as many, in the order in which they came. */
export async function bodiesReceived(
  client: StockClient,
  room: string,
  count: number,
  limitMs?: number,
): Promise<unknown[]> {
  const received = (): unknown[] =>
    client
      .received('message')
      .filter((message) => message.room === room)
      .map(({ body }) => body);
  await until(`${count} messages have come in ${room}`, () => received().length >= count, limitMs);
  return received();
}

/** Two nodes, each with a user in the rooms `one` and `two`. No node learns of revs by a poll. */
export async function startTwoNodes(): Promise<{ cluster: Cluster; ann: StockClient; ben: StockClient }> {
  const cluster = await startCluster(2, { env: { PARLEY_HEADS_POLL_MS: '600000' } });
  const [ann, ben] = [await cluster.connect(0, 'ann'), await cluster.connect(1, 'ben')];
  for (const id of ['one', 'two']) {
    await ann.ok('room:create', { kind: 'channel', name: id, id });
    await ben.ok('room:join', { room: id });
  }
  return { cluster, ann, ben };
}
