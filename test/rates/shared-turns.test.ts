import { expect, it } from 'vitest';
import { FairTurns } from '../../src/rates/fair-turns.ts';
import { SharedTurns } from '../../src/rates/shared-turns.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { closedGate, type Gate } from '../support/gate.ts';

function stage(waitingPerUser = 1000) {
  const options = { place: 'reads', places: 1, placesPerUser: 1, waiting: 1000, waitMs: 60_000 } as const;
  const shared = new SharedTurns(new FairTurns({ ...options, waitingPerUser, metrics: new Metrics() }));
  const reads: { readonly question: string; readonly gate: Gate }[] = [];
  const ask = (user: string, question: string): Promise<number> =>
    shared.take(user, question, async () => {
      const gate = closedGate();
      const number = reads.push({ question: `${user} ${question}`, gate });
      await gate.opened;
      return number;
    });
  const answered = async (): Promise<void> => {
    for (const { gate } of reads) gate.open();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, reads, answered };
}

it('equal reads that wait are one read, which begins after the last of them came', async () => {
  const { ask, reads, answered } = stage();
  const first = ask('ann', 'page');
  const later = [ask('ann', 'page'), ask('ann', 'page')];
  const other = ask('ann', 'another page');
  const ben = ask('ben', 'page');
  expect(reads.map(({ question }) => question)).toEqual(['ann page']);
  while (reads.length < 4) await answered();
  await answered();
  expect(reads.map(({ question }) => question)).toEqual(['ann page', 'ben page', 'ann page', 'ann another page']);
  expect(await Promise.all([first, ...later, ben, other])).toEqual([1, 3, 3, 2, 4]);
});

it('a read that comes when an equal one runs is read again', async () => {
  const { ask, reads, answered } = stage();
  const first = ask('ann', 'page');
  const second = ask('ann', 'page');
  await answered();
  expect(reads).toHaveLength(2);
  const third = ask('ann', 'page');
  await answered();
  await answered();
  expect(await Promise.all([first, second, third])).toEqual([1, 2, 3]);
});

it('at most 100 reads join one, and a refused one is forgotten', async () => {
  const { ask, reads, answered } = stage(1);
  const first = ask('ann', 'page');
  const joined = Array.from({ length: 101 }, () => ask('ann', 'page'));
  await expect(ask('ann', 'page')).rejects.toMatchObject({ code: 'overloaded' });
  await answered();
  await answered();
  expect(new Set(await Promise.all([first, ...joined]))).toEqual(new Set([1, 2]));
  expect(reads).toHaveLength(2);
  const again = ask('ann', 'page');
  await answered();
  expect(await again).toBe(3);
});

it('a failure reaches everybody who waits for the read', async () => {
  const shared = new SharedTurns({ take: (_, work) => Promise.resolve().then(work) });
  const fail = () => shared.take('ann', 'page', () => Promise.reject(new Error('no database')));
  expect(await Promise.allSettled([fail(), fail()])).toMatchObject([
    { reason: { message: 'no database' } },
    { reason: { message: 'no database' } },
  ]);
});
