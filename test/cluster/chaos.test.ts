/** Many senders on three nodes into one room, while nodes are cut off from Redis at random. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { assertDense } from '../support/messaging.ts';
import { total } from '../support/metrics.ts';
import { text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { Random } from '../hostile/fuzz/random.ts';

const seed = Number(process.env['TEST_SEED'] ?? 7);
const messages = 60;

let cluster: Cluster;
afterEach(() => cluster.stop());

it.each(['1', '4'])(
  `every client ends with exactly 1 to N in order, %s partition(s) (seed ${seed})`,
  async (partitions) => {
    const random = new Random(seed);
    cluster = await startCluster(3, {
      env: { PARLEY_FANOUT_PARTITIONS: partitions, PARLEY_COMMANDS_PER_SECOND: '1000000' },
    });
    const clients = await Promise.all(
      Array.from({ length: 9 }, (_, n) => cluster.connect(n % cluster.nodes.length, `user-${n}`)),
    );
    await clients[0]?.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
    for (const client of clients.slice(1)) await client.ok('room:join', { room: 'hall' });
    let sending = true;
    let cuts = 0;
    const trouble = (async () => {
      while (sending) {
        const node = cluster.nodes[random.int(cluster.nodes.length)];
        await delay(random.int(60));
        node?.redis.cut();
        cuts++;
        await delay(random.int(200));
        node?.redis.restore();
        await delay(random.int(250));
      }
    })();
    await Promise.all(
      clients.map(async (client, c) => {
        for (let n = 0; n < messages; n++) {
          await client.ok('message:send', text('hall', [c, n]));
          await delay(random.int(30));
        }
      }),
    );
    sending = false;
    await trouble;
    const all = clients.length * messages;
    for (const client of clients) {
      await until('all events have come', () => client.received('message').length >= all, 10_000);
      expect(client.received('message').map(({ seq }) => seq)).toEqual(Array.from({ length: all }, (_, n) => n + 1));
      expect(client.received('behind')).toEqual([]);
    }
    expect(cuts).toBeGreaterThan(2);
    await assertDense(cluster.database.sql);
    for (const node of cluster.nodes) {
      await until('nothing is held or being read', async () => {
        const metrics = await node.metrics();
        return metrics.get('parley_fanout_held_events') === 0 && metrics.get('parley_fanout_fills') === 0;
      });
      expect(total(await node.metrics(), 'parley_internal_errors_total')).toBe(0);
    }
  },
  60_000,
);
