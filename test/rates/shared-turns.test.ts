import { expect, it } from 'vitest';
import { FairTurns } from '../../src/rates/fair-turns.ts';
import { SharedTurns } from '../../src/rates/shared-turns.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { closedGate, type Gate } from '../support/gate.ts';

function stage(waitingPerUser = 1000, mostWeight = 1000) {
  const options = { place: 'reads', places: 1, placesPerUser: 1, waiting: 1000, waitMs: 60_000 } as const;
  const turns = new FairTurns({ ...options, waitingPerUser, metrics: new Metrics() });
  const reads: { readonly questions: string; readonly gate: Gate }[] = [];
  const shared = new SharedTurns<string, string>({
    turns,
    read: async (user, questions) => {
      const gate = closedGate();
      const number = reads.push({ questions: `${user}: ${questions.join(', ')}`, gate });
      await gate.opened;
      return questions.map((question) => (question === 'bad' ? new Error('no such room') : `${question} ${number}`));
    },
    weightOf: (question) => question.length,
    mostWeight,
  });
  const ask = (user: string, question: string): Promise<string> => shared.take(user, question, question);
  const answered = async (): Promise<void> => {
    for (const { gate } of reads) gate.open();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, reads, answered };
}

it('the questions of a user that wait are one read, and equal ones are read once', async () => {
  const { ask, reads, answered } = stage();
  const first = ask('ann', 'page');
  const later = [ask('ann', 'page'), ask('ann', 'other'), ask('ann', 'page')];
  const ben = ask('ben', 'page');
  expect(reads.map(({ questions }) => questions)).toEqual(['ann: page']);
  while (reads.length < 3) await answered();
  await answered();
  expect(reads.map(({ questions }) => questions)).toEqual(['ann: page', 'ben: page', 'ann: page, other']);
  expect(await Promise.all([first, ...later, ben])).toEqual(['page 1', 'page 3', 'other 3', 'page 3', 'page 2']);
});

it('a question that comes when an equal one runs is read again', async () => {
  const { ask, reads, answered } = stage();
  const first = ask('ann', 'page');
  const second = ask('ann', 'page');
  await answered();
  expect(reads).toHaveLength(2);
  const third = ask('ann', 'page');
  await answered();
  await answered();
  expect(await Promise.all([first, second, third])).toEqual(['page 1', 'page 2', 'page 3']);
});

it('a read has at most the greatest weight, which an equal question does not add to', async () => {
  const { ask, reads, answered } = stage(1000, 8);
  const all = ['run', 'four', 'five', 'four', 'six', 'a long question'].map((question) => ask('ann', question));
  while (reads.length < 4) await answered();
  await answered();
  expect(await Promise.all(all)).toEqual(['run 1', 'four 2', 'five 2', 'four 2', 'six 3', 'a long question 4']);
});

it('at most 100 questions join one, and a refused one is forgotten', async () => {
  const { ask, reads, answered } = stage(1);
  const first = ask('ann', 'page');
  const joined = Array.from({ length: 101 }, () => ask('ann', 'page'));
  await expect(ask('ann', 'page')).rejects.toMatchObject({ code: 'overloaded' });
  await answered();
  await answered();
  expect(new Set(await Promise.all([first, ...joined]))).toEqual(new Set(['page 1', 'page 2']));
  expect(reads).toHaveLength(2);
  const again = ask('ann', 'page');
  await answered();
  expect(await again).toBe('page 3');
});

it('an error is the answer to its question alone', async () => {
  const { ask, answered } = stage();
  const all = Promise.allSettled([ask('ann', 'run'), ask('ann', 'bad'), ask('ann', 'page')]);
  await answered();
  await answered();
  expect(await all).toMatchObject([{ value: 'run 1' }, { reason: { message: 'no such room' } }, { value: 'page 2' }]);
});

it('a failure reaches everybody who waits for the read', async () => {
  const shared = new SharedTurns<string, string>({
    turns: { take: (_, work) => Promise.resolve().then(work) },
    read: () => Promise.reject(new Error('no database')),
    weightOf: () => 1,
    mostWeight: 10,
  });
  const fail = (question: string) => shared.take('ann', question, question);
  expect(await Promise.allSettled([fail('page'), fail('page'), fail('other')])).toMatchObject([
    { reason: { message: 'no database' } },
    { reason: { message: 'no database' } },
    { reason: { message: 'no database' } },
  ]);
});
