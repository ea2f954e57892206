import { describe, expect, it } from 'vitest';
import { FairTurns, type FairTurnsOptions, type RefusedTurn } from '../../src/rates/fair-turns.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { closedGate, type Gate } from '../support/gate.ts';

interface Stage {
  readonly turns: FairTurns;
  /** Users whose work has begun, in order. */
  readonly begun: string[];
  /** As counted, each limit as often as it refused work. */
  readonly refused: () => Promise<RefusedTurn[]>;
  /** Starts work that ends when its gate opens. */
  readonly request: (user: string) => { readonly gate: Gate; readonly done: Promise<unknown> };
}

function stage(options: Partial<FairTurnsOptions>): Stage {
  const begun: string[] = [];
  const metrics = new Metrics();
  const turns = new FairTurns({
    place: 'reads',
    places: 1,
    placesPerUser: 1,
    waiting: 100,
    waitingPerUser: 100,
    waitMs: 60_000,
    metrics,
    ...options,
  });
  const request: Stage['request'] = (user) => {
    const gate = closedGate();
    const done = turns
      .take(user, async () => {
        begun.push(user);
        await gate.opened;
        return 'done';
      })
      .catch((error: unknown) => (error as { code: string }).code);
    return { gate, done };
  };
  const refused = async (): Promise<RefusedTurn[]> => {
    const { values } = await metrics.turnsRefused.get();
    return values.flatMap(({ labels, value }) => Array<RefusedTurn>(value).fill(labels['limit'] as RefusedTurn));
  };
  return { turns, begun, refused, request };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('fair turns', () => {
  it('give a user who waits with one piece of work a place before the second piece of another', async () => {
    const { request, begun } = stage({});
    const work = ['ann', 'ann', 'ann', 'ann', 'ben', 'cat', 'ben'].map(request);
    for (const { gate } of work) gate.open();
    await Promise.all(work.map(({ done }) => done));
    expect(begun).toEqual(['ann', 'ben', 'cat', 'ann', 'ben', 'ann', 'ann']);
  });

  it('let the event loop turn before waiting work begins: an answer from memory takes milliseconds', async () => {
    const { turns } = stage({ placesPerUser: 4, places: Infinity });
    let turn = 0;
    let over = false;
    const count = (): void => {
      turn++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const begun: number[] = [];
    await Promise.all(Array.from({ length: 12 }, () => turns.take('ann', () => void begun.push(turn))));
    over = true;
    // four at once, and one in each later turn
    expect(new Set(begun).size).toBe(9);
  });

  it('leave a free place to waiting work, not to later work', async () => {
    const { turns } = stage({});
    const begun: string[] = [];
    const work = (user: string) => turns.take(user, () => void begun.push(user));
    const [first, waits] = [work('ann'), work('ben')];
    await first;
    await Promise.all([work('cat'), waits]);
    expect(begun).toEqual(['ann', 'ben', 'cat']);
  });

  it('leave places to others when a user has as many as one may have', async () => {
    const { request, begun } = stage({ places: 3, placesPerUser: 2 });
    const work = ['ann', 'ann', 'ann', 'ben'].map(request);
    await settle();
    expect(begun).toEqual(['ann', 'ann', 'ben']);
    for (const { gate } of work) gate.open();
    expect(await Promise.all(work.map(({ done }) => done))).toEqual(['done', 'done', 'done', 'done']);
  });

  it('refuse what a user has waiting over the share of one', async () => {
    const { request, refused } = stage({ waitingPerUser: 2 });
    const work = ['ann', 'ann', 'ann', 'ann'].map(request);
    expect(await work[3]?.done).toBe('overloaded');
    expect(await refused()).toEqual(['user']);
    for (const { gate } of work) gate.open();
    expect(await Promise.all(work.map(({ done }) => done))).toEqual(['done', 'done', 'done', 'overloaded']);
  });

  it('take the newest from the user with the most waiting, when the queue is full', async () => {
    const { request, refused, begun } = stage({ waiting: 3 });
    const work = ['ann', 'ann', 'ann', 'ann', 'ben'].map(request);
    expect(await work[3]?.done).toBe('overloaded');
    const late = request('ann');
    expect(await late.done).toBe('overloaded');
    expect(await refused()).toEqual(['queue', 'queue']);
    for (const { gate } of work) gate.open();
    await Promise.all(work.map(({ done }) => done));
    expect(begun.filter((user) => user === 'ben')).toHaveLength(1);
  });

  it('refuse work that has waited for too long, and give the place on afterwards', async () => {
    const clock = new ManualClock();
    const { request, refused, turns } = stage({ waitMs: 20, clock });
    const [first, second] = [request('ann'), request('ben')];
    await clock.pass(19);
    expect([await refused(), turns.waiting]).toEqual([[], 1]);
    await clock.pass(1);
    expect(await second.done).toBe('overloaded');
    expect(await refused()).toEqual(['time']);
    expect(turns.waiting).toBe(0);
    first.gate.open();
    expect(await first.done).toBe('done');
    const next = request('ben');
    next.gate.open();
    expect(await next.done).toBe('done');
  });

  it('share nothing but a share of each user where places are without number', async () => {
    const { request, begun, turns } = stage({ places: Infinity, placesPerUser: 2 });
    const work = ['ann', 'ann', 'ann', 'ben', 'ben', 'cat', 'ann'].map(request);
    await settle();
    expect(begun).toEqual(['ann', 'ann', 'ben', 'ben', 'cat']);
    expect(turns.waiting).toBe(2);
    work[0]?.gate.open();
    await work[0]?.done;
    await settle();
    expect(begun).toEqual(['ann', 'ann', 'ben', 'ben', 'cat', 'ann']);
    for (const { gate } of work) gate.open();
    expect(await Promise.all(work.map(({ done }) => done))).toEqual(Array(7).fill('done'));
  });

  it('keep the place of a user for as long as the work took, up to a limit, while the answer is there', async () => {
    const clock = new ManualClock();
    const { request, begun } = stage({ clock, places: Infinity, mostRestMs: 100 });
    const work = [request('ann'), request('ann'), request('ann')];
    const end = async (n: number, after: number): Promise<void> => {
      await clock.pass(after);
      work[n]?.gate.open();
      expect(await work[n]?.done).toBe('done');
    };
    await end(0, 40);
    const other = request('ben');
    await clock.pass(39);
    expect(begun).toEqual(['ann', 'ben']);
    await clock.pass(1);
    await clock.pass(0);
    expect(begun).toEqual(['ann', 'ben', 'ann']);
    await end(1, 500);
    await clock.pass(99);
    expect(begun).toHaveLength(3);
    await clock.pass(1);
    await clock.pass(0);
    expect(begun).toHaveLength(4);
    for (const { gate } of [...work, other]) gate.open();
    expect(await Promise.all([...work, other].map(({ done }) => done))).toEqual(Array(4).fill('done'));
  });

  it('give the place on when work fails', async () => {
    const { turns } = stage({});
    const failing = turns.take('ann', () => Promise.reject(new Error('wrong')));
    const next = turns.take('ben', () => Promise.resolve('fine'));
    await expect(failing).rejects.toThrow('wrong');
    expect(await next).toBe('fine');
  });
});
