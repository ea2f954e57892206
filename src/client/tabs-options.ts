/** The options and callbacks that the client gives to its `Tabs`. */
import type { EventData } from '../protocol/events.ts';
import type { ConnectionHandlers, ConnectionOptions } from './connection.ts';
import type { OutboxNews } from './outbox.ts';

export interface TabsOptions extends Omit<ConnectionOptions, 'admit'> {
  readonly user?: string;
  readonly share: boolean;
}

export interface TabsHandlers extends ConnectionHandlers {
  /**
   * Called with the user of the client before anything is sent; undefined: the token does not name them. The link waits
   * for it.
   */
  identified(user: string | undefined): Promise<void>;
  /** A change of the outbox by another tab. */
  outbox(news: OutboxNews): void;
  /** For a tab that opens later: the present heads of the rooms. */
  present(): EventData<'ready'> | undefined;
}
