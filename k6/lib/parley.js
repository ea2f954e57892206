// @ts-check
/**
 * The connection of one user to Parley, on the generic client: commands with errors, cursors, `sync`, `behind`, reconnect,
 * and repeated sends with the same id. A listener, such as the Witness of the oracle, gets the events.
 */
import http from 'k6/http';
import { now, sleep } from './clock.js';
import { count, counts, errors, failed, times } from './metrics.js';
import { Ranges } from './ranges.js';
import { SocketError, SocketIO } from './socketio.js';
import { changeEvents } from './stream.js';

/**
 * @typedef {{room: string, seq: number, rev: number, id: string, from: string, body: any, at: number}} Message
 * @typedef {{room: string, seq: number, rev: number, stamp: string}} Received an event; `stamp`: `k6` of its body, if it has one
 * @typedef {{id: string, kind: string, seq: number, rev: number, read: number}} RoomSummary
 * @typedef {{user: {id: string}, session: string, node: string, rooms: RoomSummary[], more: boolean}} Ready
 */

/**
 * @typedef {object} Listener calls of a connection, in this order for one socket
 * @property {() => void} opening
 * @property {(rooms: RoomSummary[]) => void} ready
 * @property {(room: RoomSummary) => void} joined
 * @property {(room: string) => void} left
 * @property {(message: Received, at: number) => void} live `at`: when the frame came off the wire
 * @property {(room: string, rev: number) => void} changed a change of the room that is no new message
 * @property {(room: string) => void} behind
 * @property {(room: string, messages: Message[], rev: number, more: boolean) => void} pulled
 * @property {(room: string) => void} inSync
 * @property {() => void} closed
 */

/** `code` is an error of docs/errors.md, or `closed` or `timeout`. */
export class CommandError extends Error {
  /** @param {{code: string, message: string, retryable: boolean, retryAfter?: number}} error */
  constructor({ code, message, retryable, retryAfter }) {
    super(`${code}: ${message}`);
    this.name = 'CommandError';
    this.code = code;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }
}

const messageHead = /^42\["message",\{"room":"([^"\\]+)","seq":(\d+),"rev":(\d+),/;
const stampIn = /"body":\{"k6":"([^"\\]*)"/;

/** Pauses between tries. A lost connection and a late answer are tried again too: the id makes a repeat safe. */
const backoffMs = { first: 100, most: 5000 };
const giveUpMs = 60_000;

export class Parley {
  /** @type {RoomSummary[]} */
  rooms = [];
  /** @type {Map<string, {cursor: number, ahead: Ranges}>} up to which rev each room is known without a hole, and revs beyond */
  #cursors = new Map();
  /** @type {SocketIO | undefined} */
  #socket;
  #ready = false;
  #ended = false;
  /** @type {Set<string>} rooms that have to be pulled */
  #dirty = new Set();
  #pulling = false;
  /** @type {number | undefined} */
  #backSince;
  #returnAt = 0;
  #onPurpose = false;
  #quiet = false;
  /** @type {(() => void)[]} */
  #untilReady = [];
  #attempts = 0;
  /** @type {{url: string, token: string, query?: Record<string, string>, syncBytes?: number, quiet?: boolean}} */
  #options;
  /** @type {Listener} */
  #listener;

  /**
   * @param {{url: string, token: string, query?: Record<string, string>, syncBytes?: number, quiet?: boolean}} options
   * @param {Listener} listener
   */
  constructor(options, listener) {
    this.#options = options;
    this.#quiet = options.quiet === true;
    this.#listener = listener;
  }

  get ready() {
    return this.#ready;
  }

  /** @type {(signal: {room: string, from: string, name: string, data?: any}) => void} */
  onSignal = () => {};

  /** Opens the connection, and opens it again until `close()`. @returns {Promise<void>} once `ready` */
  connect() {
    void this.#open();
    return this.untilReady();
  }

  /** @returns {Promise<void>} */
  untilReady() {
    return this.#ready ? Promise.resolve() : new Promise((resolve) => this.#untilReady.push(resolve));
  }

  /** No pull runs and no room waits for one. */
  get inSync() {
    return this.#ready && !this.#pulling && this.#dirty.size === 0;
  }

  /**
   * Runs one command once.
   * @param {string} name
   * @param {Record<string, unknown>} input
   * @returns {Promise<any>} the fields of its ok, and `ms` that it took; rejects with a CommandError
   */
  async command(name, input) {
    const socket = this.#socket;
    if (socket === undefined || !this.#ready) {
      throw new CommandError({ code: 'closed', message: 'not connected', retryable: true });
    }
    const from = now();
    try {
      const answer = await socket.emitWithAck(name, input);
      if (!answer.ok) throw new CommandError(answer.error);
      answer.ms = socket.receivedAt - from;
      if (this.#quiet) return answer;
      failed.add(false);
      (name === 'message:send' ? times.ack : times.command).add(answer.ms);
      return answer;
    } catch (error) {
      const failure =
        error instanceof CommandError
          ? error
          : new CommandError({
              code: error instanceof SocketError ? error.code : 'unknown',
              message: String(error),
              retryable: true,
            });
      // the script closed the connection itself
      if (!this.#quiet && (failure.code !== 'closed' || !(this.#onPurpose || this.#ended))) {
        failed.add(true);
        errors.add(1, { code: failure.code, command: name });
      }
      throw failure;
    }
  }

  /**
   * Repeats a command while its errors may pass. This is safe for commands that change nothing, and for a send with its id.
   * @param {string} name
   * @param {Record<string, unknown>} input
   * @param {number} [within] ms
   * @returns {Promise<any>} its answer and `tries`
   */
  async persist(name, input, within = giveUpMs) {
    const until = now() + within;
    for (let tries = 1; ; tries++) {
      try {
        if (!this.#ready) await Promise.race([this.untilReady(), sleep(Math.min(1000, until - now()))]);
        return { ...(await this.command(name, input)), tries };
      } catch (error) {
        const failure = /** @type {CommandError} */ (error);
        if (!failure.retryable || this.#ended || now() > until) throw failure;
        const wait = Math.min(backoffMs.most, backoffMs.first * 2 ** Math.min(tries - 1, 10));
        await sleep(Math.max(failure.retryAfter ?? 0, wait * (0.5 + Math.random() / 2)));
      }
    }
  }

  /**
   * @param {string} room
   * @returns {Promise<RoomSummary>}
   */
  async join(room) {
    const { room: summary } = await this.persist('room:join', { room });
    this.#follow(summary);
    this.#listener.joined(summary);
    return summary;
  }

  /** @param {string} room */
  async leave(room) {
    await this.persist('room:leave', { room });
    this.#cursors.delete(room);
    this.#dirty.delete(room);
    this.#listener.left(room);
  }

  /**
   * From now on commands are neither timed nor counted as failures. The last checks send more at once than a user does, and
   * the server may refuse them for a while. Their ends have a counter.
   */
  stopCounting() {
    this.#quiet = true;
  }

  /** Closes the connection on purpose, and opens it after so many milliseconds. @param {number} offlineMs */
  drop(offlineMs) {
    this.#onPurpose = true;
    this.#returnAt = now() + offlineMs;
    this.#socket?.close();
  }

  close() {
    this.#ended = true;
    this.#socket?.close();
  }

  /** Calls `sync` for a room, or for all. @param {string} [room] */
  pull(room) {
    for (const id of room === undefined ? this.#cursors.keys() : [room]) this.#dirty.add(id);
    void this.#pullAll();
  }

  async #open() {
    while (!this.#ended) {
      const from = now();
      if (this.#attempts > 0) this.#backSince ??= from;
      const socket = new SocketIO(this.#options.url, {
        auth: { token: this.#options.token },
        ...(this.#options.query === undefined ? {} : { query: this.#options.query }),
      });
      this.#socket = socket;
      this.#listen(socket, from);
      this.#listener.opening();
      /** @type {Promise<string>} */
      const over = new Promise((resolve) => {
        socket.onClose = ({ reason }) => resolve(reason);
      });
      try {
        await socket.connect();
        this.#attempts = 1;
      } catch (error) {
        this.#attempts += 1;
        if (!this.#onPurpose && !this.#ended) {
          failed.add(true);
          errors.add(1, { code: /** @type {SocketError} */ (error).code, command: 'connect' });
        }
      }
      await over;
      if (this.#ready) this.#listener.closed();
      const was = this.#ready;
      this.#ready = false;
      if (this.#ended) return;
      if (was && !this.#onPurpose) count(counts.dropped);
      const backoff = Math.min(backoffMs.most, backoffMs.first * 2 ** Math.min(this.#attempts - 1, 10));
      await sleep(this.#onPurpose ? this.#returnAt - now() : backoff * (0.5 + Math.random() / 2));
      this.#onPurpose = false;
      if (was) count(counts.reconnects);
    }
  }

  /**
   * @param {SocketIO} socket
   * @param {number} from
   */
  #listen(socket, from) {
    socket.on('ready', (/** @type {Ready} */ ready) => {
      this.#ready = true;
      times.connect.add(socket.receivedAt - from);
      failed.add(false);
      this.rooms = ready.rooms;
      this.#listener.ready(ready.rooms);
      for (const room of ready.rooms) this.#follow(room);
      for (const waiting of this.#untilReady.splice(0)) waiting();
      if (this.#dirty.size > 0) void this.#pullAll();
      else this.#caughtUp();
    });
    const live = (/** @type {Received} */ message) => {
      this.#listener.live(message, socket.receivedAt);
      this.#step(message.room, message.rev);
    };
    socket.peek = (frame) => {
      const known = messageHead.exec(frame);
      if (known === null) return false;
      const [, room = '', seq, rev] = known;
      live({ room, seq: Number(seq), rev: Number(rev), stamp: stampIn.exec(frame)?.[1] ?? '' });
      return true;
    };
    // another server may write the fields in another order
    socket.on('message', ({ room, seq, rev, body }) => live({ room, seq, rev, stamp: body?.k6 ?? '' }));
    for (const event of changeEvents) {
      socket.on(event, (/** @type {{room: string, rev: number}} */ { room, rev }) => {
        this.#listener.changed(room, rev);
        this.#step(room, rev);
      });
    }
    socket.on('behind', (/** @type {{room: string}} */ { room }) => {
      count(counts.behind);
      this.#listener.behind(room);
      this.pull(room);
    });
    socket.on('signal', (signal) => {
      count(counts.signals);
      this.onSignal(signal);
    });
  }

  /** @param {RoomSummary} room */
  #follow({ id, rev }) {
    const known = this.#cursors.get(id);
    if (known === undefined) this.#cursors.set(id, { cursor: rev, ahead: new Ranges() });
    else if (known.cursor < rev) this.#dirty.add(id);
  }

  /**
   * @param {string} room
   * @param {number} rev
   */
  #step(room, rev) {
    const state = this.#cursors.get(room);
    if (state === undefined || rev <= state.cursor) return;
    if (rev === state.cursor + 1) {
      state.cursor = state.ahead.reach(rev);
      return;
    }
    state.ahead.add(rev);
    if (!this.#dirty.has(room)) this.pull(room);
  }

  async #pullAll() {
    if (this.#pulling) return;
    this.#pulling = true;
    const life = this.#socket;
    try {
      while (this.#dirty.size > 0 && this.#ready && life === this.#socket) {
        const rooms = [...this.#dirty].slice(0, 500);
        const cursors = Object.fromEntries(rooms.map((room) => [room, this.#cursors.get(room)?.cursor ?? 0]));
        const bytes = this.#options.syncBytes;
        const answer = await this.persist('sync', bytes === undefined ? { cursors } : { cursors, bytes });
        if (life !== this.#socket) break;
        for (const room of rooms) this.#page(room, answer.rooms[room]);
      }
    } catch {
      await sleep(backoffMs.most); // the error is counted; the rooms still wait for a pull
    } finally {
      this.#pulling = false;
    }
    if (this.#dirty.size === 0) this.#caughtUp();
    else if (this.#ready) void this.#pullAll();
  }

  /**
   * @param {string} room
   * @param {{messages: Message[], rev: number, more: boolean, reset?: boolean} | undefined} page
   */
  #page(room, page) {
    const state = this.#cursors.get(room);
    if (page === undefined || state === undefined) {
      this.#dirty.delete(room); // the user was removed meanwhile
      return;
    }
    if (page.reset === true) errors.add(1, { code: 'reset', command: 'sync' });
    count(counts.pulled, page.messages.length);
    state.ahead.addRange(0, page.rev);
    state.cursor = state.ahead.reach(Math.max(state.cursor, page.rev));
    this.#listener.pulled(room, page.messages, page.rev, page.more);
    if (page.more) return;
    this.#dirty.delete(room);
    this.#listener.inSync(room);
  }

  #caughtUp() {
    if (this.#backSince === undefined) return;
    times.resync.add(now() - this.#backSince);
    this.#backSince = undefined;
  }
}

/**
 * A guest's token of the embedded demo, if no secret is known. @throws when the server has no guests or refuses another one.
 * @param {string} url
 * @param {string} name
 * @returns {{token: string, user: {id: string, name: string}}}
 */
export function guest(url, name) {
  const answer = http.post(`${url}/api/v1/auth/guest`, JSON.stringify({ name }));
  if (answer.status !== 200)
    throw new Error(`Could not get a guest token: ${answer.status} ${JSON.stringify(answer.body)}`);
  return /** @type {any} */ (answer.json());
}

/**
 * Whether the server can serve. Behind a balancer `/ready` is for operators (nginx/parley-locations.conf answers 404). The
 * balancer itself uses only ready nodes, so `/health` of any node suffices there.
 * @param {string} url
 * @returns {boolean}
 */
export function isReady(url) {
  const { status } = http.get(`${url}/ready`);
  return status === 200 || (status === 404 && http.get(`${url}/health`).status === 200);
}
