/** The types of the Postgres driver, for all other files: only this one and client.ts name the driver. */
import type postgres from 'postgres';

export type { postgres };

/**
 * Notifications of Postgres (`listen` and `notify`). Guarantee: none. A notification may be lost, and a pooler in front of
 * Postgres may pass none on. So a listener polls too, more slowly. Several notifications may come as one.
 */
export interface Notifications {
  /** Nothing is received before the first `renew`. */
  subscribe(channel: string, received: (payload: string) => void): NotificationSubscription;
}

export interface NotificationSubscription {
  /** Listens, or proves that the connection still lives. Call it again and again. @throws if Postgres is unavailable */
  renew(): Promise<void>;
  end(): Promise<void>;
}
