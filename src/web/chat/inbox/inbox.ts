/** The inbox of this user: invitations and notifications. Read at each connection, then updated by events. */
import { signal } from '@preact/signals';
import type { Client, CommandOutput, EventData, RoomEntry } from '../../../client/index.ts';
import { learnNames, nameOf } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { say } from '../../ui/toast.tsx';

export type Invitation = CommandOutput<'invitation:list'>['invitations'][number];
type Listed = CommandOutput<'notification:list'>['notifications'][number];
/** A notification whose message is there. */
export type Notice = Omit<Listed, 'message'> & { readonly message: NonNullable<Listed['message']> };

const noticePage = 30;
/** A user has at most two hundred invitations, and a page has a hundred. */
const maxInvitationPages = 3;
/** Notifications come in bursts. */
const gatherMs = 300;
/** Rooms that are marked read at the same time: fewer than the commands that may wait on one connection. */
const marksAtOnce = 8;

export class Inbox {
  readonly invitations = signal<readonly Invitation[]>([]);
  readonly notices = signal<readonly Notice[]>([]);
  /** There are older notifications. */
  readonly more = signal(false);
  readonly #client: Client;
  #before: string | null = null;
  /** The number of the last request; answers to earlier ones are dropped. */
  #request = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @returns a function that ends it */
  start(): () => void {
    const client = this.#client;
    const stops = [
      client.on('ready', () => this.#refresh()),
      client.on('notification', () => this.#soon()),
      client.on('invitation', (event) => this.#invitation(event)),
      client.on('member', ({ user, name }) => learnNames([{ id: user, name }])),
    ];
    if (client.state.value.status === 'connected') this.#refresh();
    return () => {
      clearTimeout(this.#timer);
      for (const stop of stops) stop();
    };
  }

  async loadMore(): Promise<void> {
    if (this.#before === null) return;
    const request = this.#request;
    const page = await this.#client.call('notification:list', { before: this.#before, limit: noticePage });
    if (request === this.#request) this.#show(page, this.notices.value);
  }

  /** Reads the newest notifications again: a deletion may have removed one. */
  async reload(): Promise<void> {
    const request = (this.#request += 1);
    const page = await this.#client.call('notification:list', { limit: noticePage });
    if (request === this.#request) this.#show(page, []);
  }

  /** Reads everything again after a block or an unblock, which change the inbox. */
  async reloadAll(): Promise<void> {
    await Promise.all([this.reload(), this.#loadInvitations()]);
  }

  async accept({ room }: Invitation): Promise<void> {
    await this.#client.call('invitation:accept', { room });
    this.#remove(room);
  }

  async decline({ room }: Invitation): Promise<void> {
    await this.#client.call('invitation:decline', { room });
    this.#remove(room);
  }

  async markAllRead(): Promise<void> {
    const unread = this.#client.rooms.value.filter((room) => room.unread > 0);
    for (let at = 0; at < unread.length; at += marksAtOnce) {
      const some = unread.slice(at, at + marksAtOnce);
      await Promise.all(some.map(({ id, seq }) => this.#client.call('read', { room: id, seq })));
    }
    // of rooms whose messages this page counts as read
    await this.#client.call('notification:mark', {});
    await this.reload();
  }

  #refresh(): void {
    // After a failure, the next connection reads the inbox again.
    this.reloadAll().catch(() => undefined);
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.reload().catch(() => undefined);
    }, gatherMs);
  }

  #show(page: CommandOutput<'notification:list'>, held: readonly Notice[]): void {
    const listed = page.notifications.filter((one): one is Notice => one.message !== null);
    learnNames(listed.map(({ message: { from, name } }) => ({ id: from, name })));
    this.#before = page.before;
    this.more.value = page.more;
    this.notices.value = [...held, ...listed];
  }

  async #loadInvitations(): Promise<void> {
    const found: Invitation[] = [];
    let after: string | null = null;
    for (let page = 0; page < maxInvitationPages; page += 1) {
      const answer: CommandOutput<'invitation:list'> = await this.#client.call(
        'invitation:list',
        after === null ? {} : { after },
      );
      found.push(...answer.invitations);
      after = answer.after;
      if (!answer.more || after === null) break;
    }
    learnNames(found.map(({ by, byName }) => ({ id: by, name: byName })));
    this.invitations.value = found;
  }

  #invitation({ change, room, user, by, invitation }: EventData<'invitation'>): void {
    const me = this.#client.user.value?.id;
    if (user !== me) {
      if (change !== 'accepted' && change !== 'declined') return;
      const entry = this.#client.rooms.value.find(({ id }) => id === room);
      const title = entry === undefined ? room : titleOf(entry);
      // The event with the name of the new member may come after this one.
      setTimeout(() => say(`${nameOf(by)} ${change} your invitation to ${title}.`), gatherMs);
    } else if (invitation === undefined) this.#remove(room);
    else {
      learnNames([{ id: invitation.by, name: invitation.byName }]);
      this.invitations.value = [...this.invitations.value.filter((held) => held.room !== room), invitation];
    }
  }

  #remove(room: string): void {
    this.invitations.value = this.invitations.value.filter((held) => held.room !== room);
  }
}

export function isUnread({ read, message }: Notice, rooms: readonly RoomEntry[]): boolean {
  const room = rooms.find(({ id }) => id === message.room);
  return !read && room !== undefined && message.seq > room.read;
}

const inboxes = new WeakMap<Client, Inbox>();

export function inboxOf(client: Client): Inbox {
  const held = inboxes.get(client) ?? new Inbox(client);
  inboxes.set(client, held);
  return held;
}
