/**
 * Coalesces the `member` events of a user who joins a room and leaves it again and again; each is an event to the whole
 * room. Within a window the first few changes are published as they come. Of the changes that follow, only the last one is
 * published, at the end of the window, and only if it differs from the last published one. Memberships and the events to
 * the user's own connections are not held back.
 */
import type { EventData } from '../protocol/events.ts';
import type { Metrics } from '../telemetry/metrics.ts';

type Member = EventData<'member'>;

interface Flapping {
  /** Changes that were published. */
  published: number;
  /** The last change that was published. */
  last: Member['change'];
  held: Member | undefined;
  readonly timer: NodeJS.Timeout;
}

export interface FlapOptions {
  readonly publish: (data: Member) => void;
  /** At the end of a window: the user may have left, or come back, through another node meanwhile. Default: `publish`. */
  readonly publishLate?: (data: Member) => void;
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

  /** @returns whether the change is to be published to the room now. */
  note(data: Member): boolean {
    const key = `${data.room}\n${data.user}`;
    const flapping = this.#flapping.get(key);
    if (data.by !== data.user || (data.change !== 'joined' && data.change !== 'left')) {
      // a change by another user: held changes come before it
      if (flapping !== undefined) this.#end(key, flapping);
      return true;
    }
    if (flapping === undefined) {
      if (this.#flapping.size >= maxFlapping) return true;
      const timer = setTimeout(() => {
        const ended = this.#flapping.get(key);
        if (ended !== undefined) this.#end(key, ended, this.#options.publishLate);
      }, this.#options.windowMs ?? defaultWindowMs).unref();
      this.#flapping.set(key, { published: 1, last: data.change, held: undefined, timer });
      return true;
    }
    if (flapping.published < flapsAtOnce) {
      flapping.published++;
      flapping.last = data.change;
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

  #end(key: string, { timer, held, last }: Flapping, publish = this.#options.publish): void {
    clearTimeout(timer);
    this.#flapping.delete(key);
    if (held !== undefined && held.change !== last) publish(held);
  }
}
