/**
 * The watched users of each tab. The server knows one connection: a watch ends there when no tab wants it any more.
 * Each tab gets all presence events and drops those that it does not want.
 */
import type { CommandInput, CommandName } from '../protocol/commands.ts';

export class Watches {
  readonly #byTab = new Map<string, Set<string>>();
  readonly #unwatch: (users: string[]) => void;

  constructor(unwatch: (users: string[]) => void) {
    this.#unwatch = unwatch;
  }

  /** @returns the command to send; undefined: there is none */
  passed<C extends CommandName>(tab: string, name: C, input: CommandInput<C>): CommandInput<C> | undefined {
    if (name !== 'presence:watch' && name !== 'presence:unwatch') return input;
    const { users } = input as CommandInput<'presence:unwatch'>;
    const watched = this.#byTab.get(tab) ?? new Set();
    if (name === 'presence:watch') {
      this.#byTab.set(tab, watched);
      for (const user of users ?? []) watched.add(user);
      return input;
    }
    const ended = this.#ended(users ?? [...watched], watched);
    return ended.length === 0 ? undefined : ({ users: ended } as CommandInput<C>);
  }

  /** The tab is closed. */
  forget(tab: string): void {
    const watched = this.#byTab.get(tab);
    this.#byTab.delete(tab);
    const ended = this.#ended([...(watched ?? [])], watched);
    if (ended.length > 0) this.#unwatch(ended);
  }

  /** Another tab has the connection now. */
  clear(): void {
    this.#byTab.clear();
  }

  #ended(users: readonly string[], watched: Set<string> | undefined): string[] {
    for (const user of users) watched?.delete(user);
    return users.filter((user) => ![...this.#byTab.values()].some((others) => others.has(user)));
  }
}
