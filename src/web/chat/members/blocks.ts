/** The users that this user has blocked: read at each connection, and by each view of the list. */
import { signal } from '@preact/signals';
import { limits } from '../../../client/index.ts';
import type { Client, CommandOutput } from '../../../client/index.ts';
import { inboxOf } from '../inbox/inbox.ts';

/** A user blocks a thousand others at most, and a page has a hundred. */
const maxPages = 10;

export class Blocks {
  /** By user id. */
  readonly users = signal<ReadonlySet<string>>(new Set());
  readonly #client: Client;
  /** The number of the last request; answers to earlier ones are dropped. */
  #request = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @returns a function that ends it */
  start(): () => void {
    const client = this.#client;
    // After a failure, the next connection reads the list again.
    const refresh = (): void => void this.reload().catch(() => undefined);
    const stop = client.on('ready', refresh);
    if (client.state.value.status === 'connected') refresh();
    return stop;
  }

  async reload(): Promise<void> {
    const request = (this.#request += 1);
    const found: string[] = [];
    let after: string | null = null;
    for (let page = 0; page < maxPages; page += 1) {
      const answer: CommandOutput<'user:blocks'> = await this.#client.call('user:blocks', {
        limit: limits.pageSize,
        ...(after !== null && { after }),
      });
      found.push(...answer.blocks.map(({ user }) => user));
      after = answer.after;
      if (!answer.more || after === null) break;
    }
    if (request === this.#request) this.users.value = new Set(found);
  }

  async block(user: string): Promise<void> {
    await this.#client.call('user:block', { user });
    await this.#changed();
  }

  async unblock(user: string): Promise<void> {
    await this.#client.call('user:unblock', { user });
    await this.#changed();
  }

  /** A block removes entries from the inbox, and an unblock brings them back. */
  async #changed(): Promise<void> {
    await Promise.all([this.reload(), inboxOf(this.#client).reloadAll()]);
  }
}

const held = new WeakMap<Client, Blocks>();

export function blocksOf(client: Client): Blocks {
  const blocks = held.get(client) ?? new Blocks(client);
  held.set(client, blocks);
  return blocks;
}
