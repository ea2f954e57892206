import type { Identity } from './tokens.ts';

/** Verified tokens by hash and by user, bounded: the oldest is forgotten, and verified again when it comes back. */
export class KnownTokens {
  readonly #size: number;
  readonly #byHash = new Map<string, Identity>();
  readonly #byUser = new Map<string, Identity[]>();

  constructor(size: number) {
    this.#size = size;
  }

  get(hash: string): Identity | undefined {
    return this.#byHash.get(hash);
  }

  of(user: string): readonly Identity[] {
    return this.#byUser.get(user) ?? [];
  }

  add(hash: string, identity: Identity): void {
    // two connections may have verified one token at the same time
    this.delete(hash);
    const oldest = this.#byHash.keys().next();
    if (this.#byHash.size >= this.#size && !oldest.done) this.delete(oldest.value);
    this.#byHash.set(hash, identity);
    const others = this.#byUser.get(identity.user);
    if (others === undefined) this.#byUser.set(identity.user, [identity]);
    else others.push(identity);
  }

  delete(hash: string): void {
    const identity = this.#byHash.get(hash);
    if (identity === undefined) return;
    this.#byHash.delete(hash);
    const others = this.#byUser.get(identity.user) ?? [];
    // mostly the first, for the oldest goes
    others.splice(others.indexOf(identity), 1);
    if (others.length === 0) this.#byUser.delete(identity.user);
  }
}
