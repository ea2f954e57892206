/**
 * Users who come into a room and leave it again and again: each change is an event to the whole room. The first few are
 * published as they come; of those that follow within the window only the last one is, at its end, and only if the room
 * was not told the same before. What the user's own connections get, and memberships, are not held back.
 */
import type { EventData } from '../protocol/events.ts';
import type { Metrics } from '../telemetry/metrics.ts';

type Member = EventData<'member'>;

interface Flapping {
  /** Changes that were published. */
  published: number;
  told: Member['change'];
  held: Member | undefined;
  readonly timer: NodeJS.Timeout;
}

export interface FlapOptions {
  readonly publish: (data: Member) => void;
  readonly metrics?: Pick<Metrics, 'membersCoalesced'> | undefined;
  readonly windowMs?: number;
}

/** Changes of one user in one room that are published at once, within a window. */
export const flapsAtOnce = 4;
const defaultWindowMs = 10_000;
/** Beyond it changes are published as they come: users are limited in how often they join. */
const maxFlapping = 50_000;

export class Flaps {
  readonly #options: FlapOptions;
  readonly #flapping = new Map<string, Flapping>();

  constructor(options: FlapOptions) {
    this.#options = options;
  }

  /** @returns whether the room is to be told now. */
  note(data: Member): boolean {
    const key = `${data.room}\n${data.user}`;
    const flapping = this.#flapping.get(key);
    if (data.by !== data.user || (data.change !== 'joined' && data.change !== 'left')) {
      // somebody else's doing: it is told behind what it follows
      if (flapping !== undefined) this.#end(key, flapping);
      return true;
    }
    if (flapping === undefined) {
      if (this.#flapping.size >= maxFlapping) return true;
      const timer = setTimeout(() => {
        const ended = this.#flapping.get(key);
        if (ended !== undefined) this.#end(key, ended);
      }, this.#options.windowMs ?? defaultWindowMs).unref();
      this.#flapping.set(key, { published: 1, told: data.change, held: undefined, timer });
      return true;
    }
    if (flapping.published < flapsAtOnce) {
      flapping.published++;
      flapping.told = data.change;
      return true;
    }
    this.#options.metrics?.membersCoalesced.inc();
    flapping.held = data;
    return false;
  }

  /** Publishes what is held. */
  flush(): void {
    for (const [key, flapping] of this.#flapping) this.#end(key, flapping);
  }

  #end(key: string, { timer, held, told }: Flapping): void {
    clearTimeout(timer);
    this.#flapping.delete(key);
    if (held !== undefined && held.change !== told) this.#options.publish(held);
  }
}
