import type { Notifications, postgres } from './sql.ts';

/** The subscribers to the notifications that the sessions of one client receive. */
export class Subscribers {
  readonly #received = new Map<string, Set<(payload: string) => void>>();

  /** For the client: its sessions call this for each notification. */
  readonly onnotify = (channel: string, payload: string): void => {
    for (const received of this.#received.get(channel) ?? []) received(payload);
  };

  /** @param end runs at the end of a subscription */
  of(sql: postgres.Sql, end: () => Promise<void>): Notifications {
    return {
      subscribe: (channel, received) => {
        const all = this.#received.get(channel) ?? new Set();
        this.#received.set(channel, all.add(received));
        return {
          renew: async () => {
            // a session that listens already goes on
            await sql`listen ${sql(channel)}`;
          },
          end: async () => {
            all.delete(received);
            await end();
          },
        };
      },
    };
  }
}
