/** The entry `parley/notifications`, for clients that show notifications, change preferences or register devices. */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import type { EventData } from '../protocol/events.ts';
import type { Client } from './client.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { Refresh } from './refresh.ts';

export { followActivity } from './activity.ts';
export type { Activity, ActivityOptions } from './activity.ts';
export { registerPush, unregisterPush } from './push.ts';
export type { PushRegistration, PushWorker } from './push.ts';

export type Notification = EventData<'notification'>;
export type ListedNotification = CommandOutput<'notification:list'>['notifications'][number];
export type UserPreferences = CommandInput<'preferences:set'>['preferences'];
export type RoomPreferences = NonNullable<CommandOutput<'preferences:get'>['rooms']>[string];
export type Level = NonNullable<RoomPreferences['level']>;

/** Notifications come in bursts; the count is requested once for all of them. */
const gatherMs = 300;

/** The notifications of this user. The count is loaded at each connection and kept up to date until `close()`. */
export class Notifications {
  readonly #client: Client;
  readonly #unread = new Cell(0);
  readonly #stops: readonly (() => void)[];
  readonly #refresh = new Refresh(
    gatherMs,
    () => this.#client.call('notification:unread', {}),
    ({ unread }) => this.#unread.set(unread),
  );

  /** Made by `notifications()`. */
  constructor(client: Client) {
    this.#client = client;
    this.#stops = [
      client.on('ready', () => this.#refresh.now()),
      client.on('notification', () => this.#refresh.soon()),
      // a read mark of this or another device
      client.on('read', ({ user }) => user === client.user.value?.id && this.#refresh.soon()),
    ];
    if (client.state.value.status === 'connected') this.#refresh.now();
  }

  /** Unread notifications; 1,000 stands for as many or more. */
  get unread(): Readable<number> {
    return this.#unread;
  }

  /** Calls the listener for each new notification. @returns a function that removes the listener */
  on(listener: (notification: Notification) => void): () => void {
    return this.#client.on('notification', listener);
  }

  /** A page, the newest first. Pass `before` of the page on for the next one. */
  list(input: CommandInput<'notification:list'> = {}): Promise<CommandOutput<'notification:list'>> {
    return this.#client.call('notification:list', input);
  }

  /** Marks notifications as read: those of `ids`, those of `room` up to `upTo`, or all. */
  async mark(input: CommandInput<'notification:mark'> = {}): Promise<void> {
    const { unread } = await this.#client.call('notification:mark', input);
    this.#refresh.drop();
    this.#unread.set(unread);
  }

  /** The preferences of the user, and those for rooms. */
  preferences(): Promise<{ preferences: UserPreferences; rooms: Readonly<Record<string, RoomPreferences>> }> {
    return this.#client.call('preferences:get', {}).then(({ preferences, rooms = {} }) => ({ preferences, rooms }));
  }

  /** Replaces the preferences of the user, or those for a room. */
  async setPreferences(preferences: UserPreferences, room?: string): Promise<void> {
    await this.#client.call('preferences:set', { preferences, ...(room === undefined ? {} : { room }) });
  }

  close(): void {
    this.#refresh.close();
    for (const stop of this.#stops) stop();
  }
}

export function notifications(client: Client): Notifications {
  return new Notifications(client);
}
