/**
 * Coalesces the `member` events of a user who joins a room and leaves it again and again; each is an event to the whole
 * room. Within a window the first few changes are published as they come. Later changes are held, and only
 * the last one is published, at the end of the window, if it differs from the last published one. Memberships and the events to
 * the user's own connections are not held back.
 */
import type { EventData } from '../protocol/events.ts';
import type { Metrics } from '../telemetry/metrics.ts';

type Member = EventData<'member'>;

/** The changes of one user in one room. */
interface Window {
  /** Changes that were published. */
  published: number;
  /** The last change that was published. */
  last: Member['change'];
  held: Member | undefined;
  readonly timer: NodeJS.Timeout;
}

export interface MemberCoalescerOptions {
  readonly publish: (data: Member) => void;
  /** At the end of a window: the user may have left, or come back, through another node meanwhile. Default: `publish`. */
  readonly publishLate?: (data: Member) => void;
  readonly metrics?: Pick<Metrics, 'membersCoalesced'> | undefined;
  readonly windowMs?: number;
}

/** Changes of one user in one room that are published at once, within a window. */
export const changesAtOnce = 4;
const defaultWindowMs = 10_000;
/** Beyond this number changes are published as they come: users are limited in how often they join. */
const maxWindows = 50_000;

export class MemberCoalescer {
  readonly #options: MemberCoalescerOptions;
  readonly #windows = new Map<string, Window>();

  constructor(options: MemberCoalescerOptions) {
    this.#options = options;
  }

  /** @returns whether the change is to be published to the room now. */
  admit(data: Member): boolean {
    const key = `${data.room}\n${data.user}`;
    const window = this.#windows.get(key);
    if (data.by !== data.user || (data.change !== 'joined' && data.change !== 'left')) {
      // a change by another user: held changes come before it
      if (window !== undefined) this.#end(key, window);
      return true;
    }
    if (window === undefined) {
      if (this.#windows.size >= maxWindows) return true;
      // a bare timer: each window ends once, and `flush` ends it early
      const timer = setTimeout(() => {
        const ended = this.#windows.get(key);
        if (ended !== undefined) this.#end(key, ended, this.#options.publishLate);
      }, this.#options.windowMs ?? defaultWindowMs).unref();
      this.#windows.set(key, { published: 1, last: data.change, held: undefined, timer });
      return true;
    }
    if (window.published < changesAtOnce) {
      window.published++;
      window.last = data.change;
      return true;
    }
    this.#options.metrics?.membersCoalesced.inc();
    window.held = data;
    return false;
  }

  /** Publishes the changes that are held. */
  flush(): void {
    for (const [key, window] of this.#windows) this.#end(key, window);
  }

  #end(key: string, { timer, held, last }: Window, publish = this.#options.publish): void {
    clearTimeout(timer);
    this.#windows.delete(key);
    if (held !== undefined && held.change !== last) publish(held);
  }
}
