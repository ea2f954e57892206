/** What waits for this user: invitations, and the messages that mention them. Asked for at each connection, then kept up. */
import { signal } from '@preact/signals';
import type { Client, CommandOutput, EventData, RoomEntry } from '../../../client/index.ts';
import { learnNames, nameOf } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { say } from '../../ui/toast.tsx';

export type Invitation = CommandOutput<'invitation:list'>['invitations'][number];
export type Mention = CommandOutput<'mentions'>['mentions'][number];

const mentionPage = 30;
/** Two hundred may wait for one user, and a page has a hundred. */
const maxInvitationPages = 3;
/** `mention` may come before the index has the message, and in crowds. */
const gatherMs = 300;
/** So many rooms are marked read at the same time: fewer than commands that may wait on one connection. */
const marksAtOnce = 8;

export class Inbox {
  readonly invitations = signal<readonly Invitation[]>([]);
  readonly mentions = signal<readonly Mention[]>([]);
  /** There are older mentions. */
  readonly more = signal(false);
  readonly #client: Client;
  #before: string | null = null;
  /** Tells answers to an older question apart. */
  #request = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @returns what ends it */
  start(): () => void {
    const client = this.#client;
    const stops = [
      client.on('ready', () => this.#refresh()),
      client.on('mention', () => this.#soon()),
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
    const page = await this.#client.call('mentions', { before: this.#before, limit: mentionPage });
    if (request === this.#request) this.#show(page, this.mentions.value);
  }

  /** The newest again: an edit may have taken a mention away. */
  async reload(): Promise<void> {
    const request = (this.#request += 1);
    const page = await this.#client.call('mentions', { limit: mentionPage });
    if (request === this.#request) this.#show(page, []);
  }

  /** After a block was made or lifted: it decides what is here. */
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
  }

  #refresh(): void {
    // What fails now is asked for again with the next connection.
    this.reloadAll().catch(() => undefined);
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.reload().catch(() => undefined);
    }, gatherMs);
  }

  #show(page: CommandOutput<'mentions'>, held: readonly Mention[]): void {
    learnNames(page.mentions.map(({ message: { from, name } }) => ({ id: from, name })));
    this.#before = page.before;
    this.more.value = page.more;
    this.mentions.value = [...held, ...page.mentions];
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
      // Who joins is named by an event that may come after this one.
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

export function isUnread({ message }: Mention, rooms: readonly RoomEntry[]): boolean {
  const room = rooms.find(({ id }) => id === message.room);
  return room !== undefined && message.seq > room.read;
}

const inboxes = new WeakMap<Client, Inbox>();

export function inboxOf(client: Client): Inbox {
  const held = inboxes.get(client) ?? new Inbox(client);
  inboxes.set(client, held);
  return held;
}
