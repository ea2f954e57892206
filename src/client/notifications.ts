/** The entry `parley/notifications`, for clients that show notifications, change preferences or register devices. */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import type { EventData } from '../protocol/events.ts';
import type { Client } from './client.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';

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
  #request = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Made by `notifications()`. */
  constructor(client: Client) {
    this.#client = client;
    this.#stops = [
      client.on('ready', () => this.#count()),
      client.on('notification', () => this.#soon()),
      // a read mark of this or another device
      client.on('read', ({ user }) => user === client.user.value?.id && this.#soon()),
    ];
    if (client.state.value.status === 'connected') this.#count();
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
    const request = (this.#request += 1);
    const { unread } = await this.#client.call('notification:mark', input);
    if (request === this.#request) this.#unread.set(unread);
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
    this.#request += 1;
    clearTimeout(this.#timer);
    for (const stop of this.#stops) stop();
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.#count(), gatherMs);
  }

  #count(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const request = (this.#request += 1);
    // after a failure the next connection counts again
    this.#client.call('notification:unread', {}).then(
      ({ unread }) => request === this.#request && this.#unread.set(unread),
      () => undefined,
    );
  }
}

export function notifications(client: Client): Notifications {
  return new Notifications(client);
}
