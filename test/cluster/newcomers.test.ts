/**
 * A client that connects to one node while another acknowledges messages. A node answers `sync` with what has reached it, and the rest
 * comes as events. No poll of revs helps in this test, so a message that is in neither is lost.
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const rounds = 40;
const connectionsOfRound = 5;

let cluster: Cluster;
let ann: StockClient;

beforeAll(async () => {
  cluster = await startCluster(2, {
    env: {
      PARLEY_HEADS_POLL_MS: '600000',
      PARLEY_COMMAND_BURST: '100000',
      PARLEY_CONNECTS_PER_MINUTE_PER_USER: '100000',
    },
  });
  ann = await cluster.connect(0, 'ann');
  await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  const ben = await cluster.connect(1, 'ben');
  await ben.ok('room:join', { room: 'hall' });
});
afterAll(() => cluster?.stop());

it('has each acknowledged message in its answer to `sync` or as an event, and none twice', async () => {
  let acknowledged = 0;
  for (let round = 0; round < rounds; round++) {
    const cursor = acknowledged;
    // some are acknowledged before the new connections begin, some meanwhile, and some after
    const sends = Array.from({ length: 6 }, () => ann.ok('message:send', text('hall', round)));
    await sends[round % 6];
    const arrivals = await Promise.all(Array.from({ length: connectionsOfRound }, () => arrive(cursor)));
    for (const { seq } of await Promise.all(sends)) acknowledged = Math.max(acknowledged, seq);
    for (const { client, synced } of arrivals) {
      const live = (): number[] => client.received('message').map(({ seq }) => seq);
      const has = (): Set<number> => new Set([...synced, ...live()]);
      await until('every message is there', () => has().size === acknowledged - cursor, 30_000);
      expect([...has()].toSorted((a, b) => a - b)).toEqual(sequence(cursor + 1, acknowledged));
      expect(new Set(live()).size).toBe(live().length);
      client.close();
      client.close();
    }
  }
});

async function arrive(cursor: number): Promise<{ readonly client: StockClient; readonly synced: readonly number[] }> {
  const url = cluster.nodes[1]?.url ?? '';
  const client = await connectStock(url, await tokenOf('ben'));
  const { rooms } = await client.ok('sync', { cursors: { hall: cursor } });
  return { client, synced: (rooms['hall']?.messages ?? []).map(({ seq }) => seq) };
}

function sequence(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, n) => from + n);
}
