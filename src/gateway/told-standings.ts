import type { Membership } from '../messaging/membership-changes.ts';

/**
 * How users here were last told to stand in rooms, of those for whom it changed lately. A node does not keep roles: they
 * would cost memory for every membership, and Postgres decides. But what it reads of changes in Postgres it has mostly been
 * told before, and only what it has not is news.
 *
 * Bounded: the oldest is forgotten. Who was forgotten may hear once more of a role that they have.
 */
export class ToldStandings {
  readonly #max: number;
  readonly #told = new Map<string, string>();

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** @returns whether it is what they were told last. */
  note({ user, room, role, mutedUntil }: Membership): boolean {
    const key = `${user}\n${room}`;
    const standing = `${role} ${mutedUntil}`;
    const before = this.#told.get(key);
    this.#told.delete(key);
    this.#told.set(key, standing);
    if (this.#told.size > this.#max) {
      const [oldest = ''] = this.#told.keys();
      this.#told.delete(oldest);
    }
    return before === standing;
  }
}
