/** Random histories; HISTORY_SEED=<seed> plays one again (what runs at once may still interleave in another way). */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDataDir, spawnServer, type DataDir, type SpawnedServer } from '../support/spawn.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { historyEnv, playHistory, type HistoryPlan } from './histories.ts';

const seed = Number(process.env['HISTORY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const large: HistoryPlan = {
  seed,
  sends: 350,
  replies: 150,
  edits: 200,
  deletions: 100,
  reactions: 300,
  pins: 60,
  atOnce: 12,
};

async function play(url: string, of: (user: string) => Promise<string>, plan: HistoryPlan): Promise<void> {
  try {
    const { revs, tears, syncs, ms } = await playHistory(url, of, plan);
    console.log(`history of seed ${plan.seed}: ${revs} revs, ${tears} reconnections, ${syncs} pages, ${ms} ms`);
    expect(revs).toBeGreaterThan(plan.sends);
  } catch (error) {
    throw new Error(`the history of ${JSON.stringify(plan)} went wrong`, { cause: error });
  }
}

describe('on Postgres', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(historyEnv);
  });
  afterAll(() => server.stop());

  it('a long history is the same room for all readers, by whatever way they read it', async () => {
    await play(server.url, tokenOf, large);
  }, 120_000);

  it('so are short ones of any mixture', async () => {
    const plan = fc.record({
      seed: fc.integer({ min: 0 }),
      sends: fc.integer({ min: 1, max: 30 }),
      edits: fc.nat(30),
      deletions: fc.nat(20),
      reactions: fc.nat(40),
      replies: fc.nat(30),
      pins: fc.nat(15),
      atOnce: fc.integer({ min: 1, max: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async (one) => {
        await playHistory(server.url, tokenOf, one);
      }),
      { seed, numRuns: 15, endOnFailure: true, interruptAfterTimeLimit: 60_000 },
    );
  }, 120_000);
});

describe('on the embedded database', () => {
  let dataDir: DataDir;
  let server: SpawnedServer;
  beforeAll(async () => {
    dataDir = makeDataDir();
    server = await spawnServer({ ...historyEnv, PARLEY_DATA_DIR: dataDir.path });
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    await server.exit();
    dataDir.remove();
  });

  it('a long history is the same room for all readers, by whatever way they read it', async () => {
    await play(server.url, dataDir.tokenOf, large);
  }, 120_000);
});
