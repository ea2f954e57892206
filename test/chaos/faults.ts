/** Doing to a stage what a plan says. Each fault resolves at its end: everything is there again, though not yet well. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { openServer } from '../../src/storage/database.ts';
import { wrongClock } from '../support/faketime.ts';
import type { Fault, Round } from './plan.ts';
import type { ChaosNode, Stage } from './stage.ts';

type Inflict = (stage: Stage, node: ChaosNode, fault: Fault, restored: () => void) => Promise<void>;

const inflict: Readonly<Record<Fault['kind'], Inflict>> = {
  'node killed': async (_, node, { ms }) => {
    await node.kill();
    await delay(ms);
    await node.start();
  },
  'node stopped': async (_, node, { ms }) => {
    node.signal('SIGSTOP');
    await delay(ms);
    node.signal('SIGCONT');
  },
  'node replaced': async (_, node) => {
    await node.drain();
    await node.start();
  },
  'node clock wrong': async (_, node, { form, ms }) => {
    await node.drain();
    await node.start(wrongClock(form === 0 ? 600 : -600));
    await delay(ms);
    await node.drain();
    await node.start();
  },
  'all nodes killed': async ({ nodes }) => {
    await Promise.all(nodes.map((node) => node.kill()));
    await Promise.all(nodes.map((node) => node.start()));
  },
  'redis restarted': async ({ redis }, _, { ms }) => {
    await redis.kill('SIGKILL');
    await delay(ms);
    await redis.start();
  },
  'redis connections killed': ({ redis }, _, { form }) =>
    withRedis(redis.url, (client) =>
      client.call('CLIENT', 'KILL', 'TYPE', form === 0 ? 'normal' : 'pubsub', 'SKIPME', 'yes'),
    ),
  'redis delayed': (_, node, fault) => slowed(node.redis, fault),
  'redis swallowed': (_, node, { ms }) => interrupt(node.redis, 'swallow', ms),
  'redis flushed': ({ redis }) => withRedis(redis.url, (client) => client.flushall()),
  'redis demoted': ({ redis }, _, { ms }) =>
    withRedis(redis.url, async (client) => {
      // a master that nobody finds
      await client.replicaof('127.0.0.1', 1);
      await delay(ms);
      await client.replicaof('NO', 'ONE');
    }),
  'postgres restarted': async ({ postgres }, _, { form, ms }) => {
    // form 0: immediate mode, no wait for anybody; form 1: as by the kernel's out-of-memory killer
    await postgres.kill(form === 0 ? 'SIGQUIT' : 'SIGKILL');
    await delay(Math.min(ms, 2000));
    await postgres.start();
  },
  'postgres connections ended': async ({ postgres }) => {
    const admin = await openServer({ url: postgres.url, poolSize: 1 });
    try {
      await admin.sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend'`;
    } finally {
      await admin.close();
    }
  },
  'postgres locked': async ({ postgres }, _, { form, ms }) => {
    const admin = await openServer({ url: postgres.url, poolSize: 1 });
    try {
      await admin.sql.begin(async (tx) => {
        await (form === 0 ? tx`lock table rooms in exclusive mode` : tx`lock table messages in access exclusive mode`);
        await delay(ms);
      });
    } finally {
      await admin.close();
    }
  },
  'postgres read-only': async ({ postgres }, _, { ms }) => {
    const admin = await openServer({ url: postgres.url, poolSize: 1 });
    try {
      await admin.sql`alter system set default_transaction_read_only = on`.simple();
      await admin.sql`select pg_reload_conf()`;
      await delay(ms);
      await admin.sql`alter system reset default_transaction_read_only`.simple();
      await admin.sql`select pg_reload_conf()`;
    } finally {
      await admin.close();
    }
  },
  'postgres restored': async (stage, _, { ms }, restored) => {
    // so that there is something to lose
    await delay(ms);
    await stage.restore();
    restored();
  },
  'postgres delayed': (_, node, fault) => slowed(node.postgres, fault),
  'postgres cut': (_, node, { ms }) => interrupt(node.postgres, 'cut', ms),
  'postgres swallowed': (_, node, { ms }) => interrupt(node.postgres, 'swallow', ms),
};

async function withRedis(url: string, work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    await work(client);
  } finally {
    client.disconnect();
  }
}

async function slowed(proxy: ChaosNode['redis'], { ms, form }: Fault): Promise<void> {
  const held = form === 0 ? 100 : 500;
  proxy.slow(() => held);
  await delay(ms);
  proxy.slow(() => 0);
}

async function interrupt(proxy: ChaosNode['redis'], how: 'cut' | 'swallow', ms: number): Promise<void> {
  proxy[how]();
  await delay(ms);
  proxy.restore();
}

/** @param restored called when the database has gone back to what `stage.save` kept. */
export async function inflictRound(stage: Stage, round: Round, restored: () => void): Promise<void> {
  const ends = round.map(async (fault) => {
    await delay(fault.afterMs);
    await inflict[fault.kind](stage, stage.nodes[fault.node] as ChaosNode, fault, restored);
  });
  await Promise.all(ends);
}
