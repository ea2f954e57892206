/** A watcher ends with the state of each watched user, whatever changes while checks and the lease are under way. */
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryPresence } from '../../src/presence/memory.ts';
import type { Sight, VisiblePresence } from '../../src/presence/sight.ts';
import { Watching, type Pair } from '../../src/presence/watching.ts';

const people = ['ann', 'ben'] as const;
const subjects = ['una', 'una2'] as const;

type Step =
  | { readonly do: 'online' | 'offline' | 'departure'; readonly user: number }
  | {
      readonly do: 'block' | 'unblock' | 'part' | 'share' | 'watch' | 'unwatch';
      readonly viewer: number;
      readonly user: number;
    }
  | { readonly do: 'lose lease' | 'hold lease' | 'hold reads' | 'answer reads' }
  | { readonly do: 'flush'; readonly ms: number };

interface Watcher {
  readonly viewer: string;
}

/** The rows of Postgres, the connections of users, and the states that each client got last. */
class World {
  readonly #online = new Set<string>();
  readonly #blocks = new Map<string, number>();
  readonly #parted = new Set<string>();
  readonly #watchers = people.map((viewer): Watcher => ({ viewer }));
  /** By `viewer user`: the last state that the client got; absent: the client watches the user no more. */
  readonly #views = new Map<string, VisiblePresence>();
  readonly repeats: string[] = [];
  readonly faults: unknown[] = [];
  #lease = true;
  #held: (() => void)[] | undefined = undefined;
  readonly #watching: Watching<Watcher>;
  readonly #presence: MemoryPresence;

  constructor() {
    this.#watching = new Watching<Watcher>({
      maxWatched: 10,
      viewerOf: ({ viewer }) => viewer,
      sights: (pairs) => this.#read(pairs),
      sendPresence: (watchers, user, presence) => {
        for (const { viewer } of watchers) {
          const key = `${viewer} ${user}`;
          const before = this.#views.get(key);
          const isRepeat = before?.online === presence.online && before.lastSeen === presence.lastSeen;
          if (isRepeat) this.repeats.push(`${key} ${JSON.stringify(presence)}`);
          this.#views.set(key, presence);
        }
      },
      ended: ({ viewer }, user) => void this.#views.delete(`${viewer} ${user}`),
      fault: (error) => void this.faults.push(error),
      mayPublish: () => this.#lease,
    });
    this.#presence = new MemoryPresence(this.#watching);
    this.#watching.start(this.#presence);
  }

  async take(step: Step): Promise<void> {
    // an answer reaches its client in the turn of the event loop in which it is made
    await vi.advanceTimersByTimeAsync(0);
    const user = 'user' in step ? (subjects[step.user] ?? '') : '';
    const viewer = 'viewer' in step ? (people[step.viewer] ?? '') : '';
    const key = `${viewer} ${user}`;
    if (step.do === 'online' && !this.#online.has(user)) {
      this.#online.add(user);
      this.#presence.arrived(user);
    } else if (step.do === 'offline' && this.#online.delete(user)) this.#presence.left(user);
    else if (step.do === 'departure') this.#watching.departed(user);
    else if (step.do === 'block' && !this.#blocks.has(key)) this.#blocks.set(key, Date.now());
    else if (step.do === 'unblock') this.#blocks.delete(key);
    else if (step.do === 'share') this.#parted.delete(key);
    else if (step.do === 'part') {
      this.#parted.add(key);
      this.#watching.departed(user);
    } else if (step.do === 'watch') void this.#watch(viewer, user).catch((error: unknown) => this.faults.push(error));
    else if (step.do === 'unwatch') this.#unwatch(viewer, user);
    else if (step.do === 'lose lease') this.#lease = false;
    else if (step.do === 'hold lease') this.#lease = true;
    else if (step.do === 'hold reads') this.#held ??= [];
    else if (step.do === 'answer reads') this.#answerReads();
    else if (step.do === 'flush') await vi.advanceTimersByTimeAsync(step.ms);
  }

  /** Ends all waits, and lets a round of checks and of comparisons pass. */
  async settle(): Promise<void> {
    this.#lease = true;
    this.#answerReads();
    await vi.advanceTimersByTimeAsync(70_000);
    const stopped = this.#watching.stop();
    await vi.advanceTimersByTimeAsync(0);
    await stopped;
  }

  /** Whether each watched user is online, as the clients have it. */
  states(): Map<string, boolean> {
    return new Map([...this.#views].map(([key, { online }]) => [key, online]));
  }

  /** The same, as the clients must have it. */
  expected(): Map<string, boolean> {
    return new Map(
      [...this.#views.keys()].map((key) => [key, this.#online.has(key.split(' ')[1] ?? '') && !this.#blocks.has(key)]),
    );
  }

  async #watch(viewer: string, user: string): Promise<void> {
    const watcher = this.#watchers.find((one) => one.viewer === viewer);
    if (watcher === undefined) return;
    const answer = (await this.#watching.watch(watcher, [user])).get(user);
    if (answer !== undefined) this.#views.set(`${viewer} ${user}`, answer);
  }

  #unwatch(viewer: string, user: string): void {
    const watcher = this.#watchers.find((one) => one.viewer === viewer);
    if (watcher !== undefined) this.#watching.unwatch(watcher, [user]);
    this.#views.delete(`${viewer} ${user}`);
  }

  /** The answer has the rows of the moment of the query, and may come later. */
  async #read(pairs: readonly Pair[]): Promise<Sight[]> {
    const sights = pairs.map(({ viewer, user }): Sight => {
      const key = `${viewer} ${user}`;
      const blockedAt = this.#blocks.get(key);
      if (this.#parted.has(key)) return 'none';
      return blockedAt === undefined ? 'seen' : { blockedAt, agoMs: Date.now() - blockedAt };
    });
    const held = this.#held;
    if (held !== undefined) await new Promise<void>((resolve) => held.push(resolve));
    return sights;
  }

  #answerReads(): void {
    for (const answer of this.#held?.splice(0) ?? []) answer();
    this.#held = undefined;
  }
}

const anyUser = fc.nat(subjects.length - 1);
const pair = { viewer: fc.nat(people.length - 1), user: anyUser };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('online', 'offline', 'departure'), user: anyUser }),
  fc.record({ do: fc.constantFrom('block', 'unblock', 'part', 'share', 'watch', 'watch', 'unwatch'), ...pair }),
  fc.record({ do: fc.constantFrom('lose lease', 'hold lease', 'hold reads', 'answer reads') }),
  fc.record({ do: fc.constant('flush'), ms: fc.constantFrom(250, 500, 5250, 31_000) }),
);

async function play(steps: readonly Step[]): Promise<World> {
  const world = new World();
  for (const user of subjects.keys()) {
    for (const viewer of people.keys()) await world.take({ do: 'watch', viewer, user });
  }
  for (const one of steps) await world.take(one);
  await world.settle();
  return world;
}

describe('a watcher', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('gets the absence of a block after the user went and came back while both changes waited', async () => {
    const ann = { viewer: 0, user: 0 };
    const world = await play([
      { do: 'online', user: 0 },
      { do: 'flush', ms: 250 },
      { do: 'lose lease' },
      { do: 'offline', user: 0 },
      { do: 'flush', ms: 5500 },
      { do: 'online', user: 0 },
      { do: 'block', ...ann },
      { do: 'hold lease' },
    ]);
    expect(world.states().get('ann una')).toBe(false);
  });

  it('ends with the present state in any order of changes, blocks, checks and lost leases', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const world = await play(steps);
        expect(world.states()).toEqual(world.expected());
        expect(world.repeats).toEqual([]);
        expect(world.faults).toEqual([]);
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
