/**
 * The users of the cluster while it breaks. Users with the SDK, some on two devices, read and write. Two readers know only the
 * protocol. One user joins and leaves, one is invited and removed, one connects and disconnects, and one watches presence.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { delayBefore, reconnectBackoff } from '../../src/client/backoff.ts';
import { connect, ParleyError, type Client, type SocketConstructor } from '../../src/client/index.ts';
import { Reader } from '../hub/reader.ts';
import { undatedTokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import type { Recorder } from './recorder.ts';
import { Stay } from './stay.ts';

export interface CrowdOptions {
  readonly users: number;
  readonly rooms: number;
  /** Messages a second of all writers together. */
  readonly rate: number;
  /** An address to connect to, another one each time. */
  readonly address: () => string;
}

/** One device of one user. */
export interface Device {
  readonly name: string;
  readonly user: string;
  readonly rooms: readonly string[];
  readonly client: Client;
  /** The node that its present socket goes to. */
  readonly address: () => string;
  /** When the last ack came, as of `performance.now()`. */
  ackedAt: number;
  /** The longest time without an ack since `write(true)`. */
  stallMs: number;
  waiting: number;
  writes: number;
}

/** The most messages that one device writes before it waits for acks. The bound of the SDK is 500. */
const maxWaiting = 40;
const setupLimitMs = 60_000;
export const meetingRoom = 'room-0';
const openRoom = 'room-open';

export class Crowd {
  readonly devices: Device[] = [];
  readonly readers: { readonly reader: Reader; readonly room: string; readonly name: string }[] = [];
  readonly rooms: readonly string[];
  readonly #options: CrowdOptions;
  readonly #recorder: Recorder;
  readonly #timers: NodeJS.Timeout[] = [];
  #writing = false;
  #ended = false;
  /** How often the one who joins and leaves was out. */
  leaves = 0;
  /** How often the owner removed the one whom it invites. */
  removals = 0;
  readonly #goers: { readonly client: Client; readonly done: Promise<void> }[] = [];
  readonly #stays: Stay[] = [];
  readonly #uncertain = new Set<Stay>();
  #watcher: Client | undefined;
  #guest: Client | undefined;

  constructor(options: CrowdOptions, recorder: Recorder) {
    this.#options = options;
    this.#recorder = recorder;
    this.rooms = Array.from({ length: options.rooms }, (_, n) => `room-${n}`);
  }

  async enter(): Promise<void> {
    const { users } = this.#options;
    const first = await this.#device('u0', [...this.rooms, openRoom], 'a');
    for (const id of [...this.rooms, openRoom]) await first.client.createRoom({ kind: 'channel', name: id, id });
    await Promise.all(
      Array.from({ length: users - 1 }, async (_, n) => {
        const u = n + 1;
        // the first users are in all rooms, the others in two of three
        const rooms = this.rooms.filter((room, r) => u < 3 || room === meetingRoom || (u + r) % 3 !== 0);
        const device = await this.#device(`u${u}`, rooms, 'a');
        for (const room of rooms) await device.client.joinRoom(room);
        if (u < 4) await this.#device(`u${u}`, rooms, 'b');
      }),
    );
    for (const device of this.devices) for (const room of device.rooms) device.client.room(room);
    await this.#enterReaders();
    this.#watcher = await this.#enterWatcher();
    const leaver = this.#connect('leaver', 'leaver');
    this.#goers.push({ client: leaver, done: this.#joinAndLeave(leaver) });
    const removed = this.#connect('removed', 'removed');
    this.#goers.push({ client: removed, done: this.#inviteAndRemove(first.client, removed) });
    const every = (1000 * this.devices.length) / this.#options.rate;
    for (const device of this.devices) this.#timers.push(setInterval(() => this.#write(device), every));
  }

  write(on: boolean): void {
    this.#writing = on;
    if (on) for (const device of this.devices) Object.assign(device, { ackedAt: performance.now(), stallMs: 0 });
  }

  /** Whether the guest is there is to be seen by the watcher within some seconds. */
  guestComesOrGoes(): void {
    if (this.#guest === undefined) this.#guest = this.#connect('guest', 'guest');
    else {
      this.#guest.close();
      this.#guest = undefined;
    }
  }

  /** Users whose presence the watcher has wrong. */
  wrongPresence(): string[] {
    const expected = new Map(this.devices.map(({ user }) => [user, true]));
    expected.set('guest', this.#guest !== undefined);
    return [...expected]
      .filter(([user, online]) => this.#watcher?.presence.get(user)?.online !== online)
      .map(([user]) => `${user} ${JSON.stringify(this.#watcher?.presence.get(user) ?? null)}`);
  }

  /** The database went back in time. */
  restored(): void {
    for (const stay of this.#stays) {
      stay.restored();
      this.#uncertain.add(stay);
    }
  }

  /** Every command has ended: the known state of users that join and leave is certain again. */
  settled(): void {
    for (const stay of this.#uncertain) stay.certain = true;
    this.#uncertain.clear();
  }

  /** As an app does when a room is left and opened again: the next view begins with the newest page. */
  reopenRooms(): void {
    for (const { client, rooms } of this.devices) {
      for (const room of rooms) {
        client.release(room);
        client.room(room);
      }
    }
  }

  async leave(): Promise<void> {
    this.#ended = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const { client } of this.devices) client.close();
    for (const { reader } of this.readers) reader.close();
    this.#watcher?.close();
    this.#guest?.close();
    for (const { client } of this.#goers) client.close();
    await Promise.all(this.#goers.map(({ done }) => done));
  }

  async #device(user: string, rooms: readonly string[], letter: string): Promise<Device> {
    const name = `${user}-${letter}`;
    let host = '';
    const address = (): string => host;
    const client = this.#connect(user, name, (at) => (host = at));
    const device: Device = { name, user, rooms, client, address, ackedAt: 0, stallMs: 0, waiting: 0, writes: 0 };
    await until(`${name} is connected`, () => client.state.value.status === 'connected', setupLimitMs);
    this.devices.push(device);
    return device;
  }

  #connect(user: string, name: string, went: (host: string) => void = () => {}): Client {
    /** The last rev of each room on the present socket: a connection gets them in order, each once in an epoch. */
    let revs = new Map<string, number>();
    let restores = 0;
    const Socket = this.#sockets((host) => {
      revs = new Map();
      went(host);
    });
    const client = connect({
      url: 'http://any.node',
      token: () => undatedTokenOf(user),
      WebSocket: Socket,
      device: name,
    });
    client.on('message', (message) => {
      const { room, rev } = message;
      if (restores !== this.#recorder.restores) revs = new Map();
      restores = this.#recorder.restores;
      const before = revs.get(room) ?? 0;
      if (rev === before) this.#recorder.find('doubled', `${name} received ${room} rev ${rev} twice on one connection`);
      if (rev < before) this.#recorder.find('reordered', `${name} received ${room} rev ${rev} after ${before}`);
      revs.set(room, rev);
      this.#recorder.delivered(name, message);
    });
    client.state.subscribe((state) => {
      if (state.status === 'closed' && state.error !== undefined) {
        this.#recorder.find('stalled', `${name} was refused for good: ${state.error.code} ${state.error.message}`);
      }
    });
    return client;
  }

  #sockets(opened: (host: string) => void): SocketConstructor {
    const { address } = this.#options;
    const recorder = this.#recorder;
    return class extends WebSocket {
      constructor(url: string) {
        const target = new URL(url);
        const { hostname, port } = new URL(address());
        target.hostname = hostname;
        target.port = port;
        super(target);
        opened(target.host);
      }

      override send(text: unknown): void {
        if (typeof text === 'string' && text.includes('["message:send"')) recorder.frames += 1;
        super.send(text as string);
      }
    };
  }

  async #enterReaders(): Promise<void> {
    for (const n of [0, 1]) {
      const room = this.rooms[n] ?? meetingRoom;
      const name = `reader-${n}`;
      const joining = this.#connect(name, name);
      await joining.joinRoom(room);
      joining.close();
      let attempt = 0;
      const reader = new Reader({
        url: this.#options.address,
        token: () => undatedTokenOf(name),
        room,
        reconnectMs: () => delayBefore(attempt++, reconnectBackoff),
      });
      reader.onReady = () => (attempt = 0);
      this.readers.push({ reader, room, name });
    }
  }

  async #enterWatcher(): Promise<Client> {
    const guest = this.#connect('guest', 'guest');
    await guest.joinRoom(meetingRoom);
    this.#guest = guest;
    const watcher = this.#connect('watcher', 'watcher');
    await watcher.joinRoom(meetingRoom);
    watcher.presence.watch([...new Set(this.devices.map(({ user }) => user)), 'guest'], () => undefined);
    return watcher;
  }

  #write(device: Device): void {
    if (!this.#writing || device.waiting >= maxWaiting) return;
    const n = device.writes++;
    // the room of the leaver has one writer, who is always in it
    const room = device.user === 'u0' && n % 2 === 0 ? openRoom : device.rooms[n % device.rooms.length];
    const key = `${device.name} ${n}`;
    const sent = this.#recorder.wrote(key, room ?? meetingRoom);
    device.waiting += 1;
    const body = { k: key, t: performance.now() };
    device.client
      .room(sent.room)
      .send(body)
      .then(
        ({ seq }) => {
          const now = performance.now();
          device.stallMs = Math.max(device.stallMs, now - device.ackedAt);
          device.ackedAt = now;
          this.#recorder.ack(sent, seq);
        },
        (error: unknown) => {
          if (this.#ended) return;
          this.#recorder.refused(sent, error instanceof ParleyError ? error.code : String(error));
          const written = device.client.room(sent.room);
          const failed = written.state.value.outgoing.filter(({ state }) => state === 'failed');
          for (const { input } of failed) written.discard(input.id);
        },
      )
      .finally(() => (device.waiting -= 1));
  }

  /** Leaves by itself, and comes back. */
  async #joinAndLeave(client: Client): Promise<void> {
    const stay = new Stay('leaver', openRoom, client, this.#recorder);
    this.#stays.push(stay);
    while (!this.#ended) {
      stay.begins();
      await this.#certainly(() => client.joinRoom(openRoom), stay);
      await delay(300 + Math.random() * 700);
      if (this.#ended) return;
      await this.#certainly(() => client.leaveRoom(openRoom), stay);
      stay.ended();
      this.leaves += 1;
      await stay.tryOutside();
      await delay(300 + Math.random() * 700);
    }
  }

  /** The owner of the room invites and removes it. */
  async #inviteAndRemove(owner: Client, client: Client): Promise<void> {
    const member = { room: openRoom, user: 'removed' };
    const stay = new Stay(member.user, openRoom, client, this.#recorder);
    this.#stays.push(stay);
    while (!this.#ended) {
      stay.begins();
      await this.#certainly(() => owner.call('room:invite', { ...member, role: 'member' }), stay);
      await delay(300 + Math.random() * 700);
      if (this.#ended) return;
      await this.#certainly(() => owner.call('room:remove', member), stay);
      stay.ended();
      this.removals += 1;
      await stay.tryOutside();
      await delay(300 + Math.random() * 700);
    }
  }

  /**
   * Repeats a command until the server has answered. A command whose answer was lost may still take effect after a later one,
   * for instance on a stopped node. Then nothing is certain until the cluster is quiet.
   */
  async #certainly(command: () => Promise<unknown>, stay: Stay): Promise<void> {
    while (!this.#ended) {
      try {
        await command();
        return;
      } catch (error) {
        if (error instanceof ParleyError && (error.code === 'not_member' || error.code === 'not_found')) return;
        stay.certain = false;
        this.#uncertain.add(stay);
        await delay(200);
      }
    }
  }
}
