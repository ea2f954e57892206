// @ts-check
/**
 * Finds lost messages. The virtual users of k6 share no memory, so no user knows the sends of all others. The numbers prove
 * it instead:
 *
 * - Each receiver compares every event with the `rev` of its room. After the head of its join, each event has the next rev
 *   (Stream). At the end the receiver requests the head again, so that a missing last event is seen.
 * - The received and the pulled messages together must have every `seq` from the join to that head.
 * - Each sender searches the history of the room for its acknowledged ids. The history has each once, with the seq of its
 *   ack, and has no hole (Ledger).
 *
 * Together: each acknowledged message is in a history without holes, and every user has all of that history.
 */
import { now, sleep } from './clock.js';
import { Ledger } from './ledger.js';
import { count, counts, faults, coverage, times } from './metrics.js';
import { Ranges } from './ranges.js';
import { Stream } from './stream.js';

/**
 * @typedef {import('./parley.js').Parley} Parley
 * @typedef {import('./parley.js').Message} Message
 * @typedef {import('./parley.js').RoomSummary} RoomSummary
 * @typedef {{from: number, seen: Ranges, stream: Stream, behind: boolean}} Watched `from`: the head at the join
 */

/** The view of one user, and the Listener of that user's connection. */
export class Witness {
  /** @type {Map<string, Watched>} */
  #rooms = new Map();
  /** @type {{run: string, lateMs: number, sample: number, settleMs: number}} */
  #options;
  #received = 0;
  /** Runs when a user stops the whole run. */
  onStop = () => {};
  /** The faults that this user found. */
  found = { lost: 0, doubled: 0, reordered: 0, unrecovered: 0 };

  /** @param {{run: string, lateMs: number, sample: number, settleMs: number}} options `sample`: the time of every n-th delivery is measured */
  constructor(options) {
    this.#options = options;
  }

  opening() {
    for (const watched of this.#rooms.values()) watched.stream = new Stream();
  }

  /** @param {RoomSummary[]} rooms */
  ready(rooms) {
    for (const room of rooms) {
      const watched = this.#rooms.get(room.id);
      if (watched === undefined) this.joined(room);
      else {
        watched.behind = false;
        watched.stream.begin(room.rev);
      }
    }
  }

  /** @param {RoomSummary} room */
  joined({ id, seq, rev }) {
    const watched = this.#watched(id);
    if (watched.from === -1) watched.from = seq;
    watched.stream.begin(rev);
  }

  /** @param {string} room */
  left(room) {
    const watched = this.#rooms.get(room);
    if (watched !== undefined) this.#close(watched.stream);
    this.#rooms.delete(room);
  }

  /**
   * @param {import('./parley.js').Received} message
   * @param {number} at
   */
  live(message, at) {
    const watched = this.#watched(message.room);
    watched.stream.take(message.rev);
    watched.seen.add(message.seq);
    this.#received += 1;
    count(coverage.checked);
    const [run, , , sent] = message.stamp.split(' ');
    if (run === 'stop') this.onStop();
    if (run !== this.#options.run) return;
    count(counts.delivered);
    const took = at - Number(sent);
    if (this.#received % this.#options.sample === 0) times.delivery.add(took);
    if (took > this.#options.lateMs) count(counts.late);
  }

  /**
   * Takes an edit, a reaction or another change, which is no new message and has a rev of the room.
   * @param {string} room
   * @param {number} rev
   */
  changed(room, rev) {
    this.#watched(room).stream.take(rev);
    count(coverage.checked);
  }

  /** @param {string} room */
  behind(room) {
    const watched = this.#watched(room);
    this.#close(watched.stream);
    watched.stream = new Stream();
    watched.behind = true;
  }

  /**
   * @param {string} room
   * @param {Message[]} messages
   * @param {number} rev
   * @param {boolean} more
   */
  pulled(room, messages, rev, more) {
    const watched = this.#watched(room);
    for (const { seq } of messages) watched.seen.add(seq);
    count(coverage.checked, messages.length);
    if (more || !watched.behind) return;
    watched.behind = false;
    watched.stream.begin(rev);
  }

  inSync() {}

  closed() {
    for (const watched of this.#rooms.values()) {
      this.#close(watched.stream);
      watched.stream = new Stream();
    }
  }

  /**
   * The last check of the user, when no user sends any more. The user requests the head of each room, and waits for events on
   * their way. Then events that never came are counted, and messages that `sync` does not return either. Each fault is
   * counted once: a second check, and `closed` at the end, begin where this one stopped.
   * @param {Parley} client
   */
  async settle(client) {
    for (const [room, watched] of this.#rooms) {
      if (watched.from === -1) continue; // an event that was on its way when the user left the room
      const { rev, messages } = await client.persist('history', { room, limit: 1 });
      const head = messages[messages.length - 1]?.seq ?? 0;
      const { settleMs } = this.#options;
      const until = now() + settleMs;
      while (now() < until && !(client.inSync && watched.stream.reached >= rev)) await sleep(50);
      const { stream } = watched;
      // without a subscription or a connection, the server owes the user only what a pull returns
      const unsubscribed = watched.behind || !client.ready;
      const short = this.#close(stream, unsubscribed ? undefined : rev);
      watched.stream = new Stream();
      // events may have come since the head was read
      if (!unsubscribed) watched.stream.begin(Math.max(rev, stream.reached));
      if (short > 0 || watched.seen.missing(watched.from + 1, head) > 0) {
        client.pull(room);
        while (now() < until + settleMs && !client.inSync) await sleep(50);
      }
      this.#report('unrecovered', watched.seen.missing(watched.from + 1, head));
      watched.from = Math.max(watched.from, head);
    }
  }

  /** @param {string} room */
  #watched(room) {
    let watched = this.#rooms.get(room);
    if (watched === undefined) {
      watched = { from: -1, seen: new Ranges(), stream: new Stream(), behind: false };
      this.#rooms.set(room, watched);
    }
    return watched;
  }

  /**
   * @param {Stream} stream
   * @param {number} [head]
   */
  #close(stream, head) {
    const lost = stream.lost(head);
    this.#report('lost', lost);
    this.#report('doubled', stream.doubled);
    this.#report('reordered', stream.reordered);
    return lost;
  }

  /**
   * @param {keyof typeof faults} fault
   * @param {number} n
   */
  #report(fault, n) {
    if (n === 0) return;
    this.found[fault] += n;
    count(faults[fault], n);
  }
}

/** The acknowledged messages of the users of this VU, by room. */
export class Audit {
  /** @type {Map<string, Ledger>} */
  #ledgers = new Map();

  /**
   * @param {string} room
   * @param {import('./ledger.js').Sent} sent
   */
  acknowledged(room, sent) {
    let ledger = this.#ledgers.get(room);
    if (ledger === undefined) this.#ledgers.set(room, (ledger = new Ledger()));
    ledger.add(sent);
  }

  /** @returns {string[]} */
  get rooms() {
    return [...this.#ledgers.keys()];
  }

  /**
   * Reads the whole history of a room, and compares the acknowledged messages with it. An unread message counts as unaudited.
   * @param {string} room
   * @param {Parley} client of a member
   * @param {number} until instant at which the check gives up
   */
  async check(room, client, until) {
    const ledger = this.#ledgers.get(room);
    if (ledger === undefined) return;
    this.#ledgers.delete(room);
    for (let after = ledger.after, more = true; more;) {
      const page = await this.#page(room, after, client, until);
      if (page === undefined) {
        count(coverage.unaudited, ledger.size);
        return;
      }
      ledger.page(page.messages);
      more = page.more && page.messages.length > 0;
      after = page.after ?? after;
    }
    const { found, lost, doubled, reordered } = ledger.judge();
    count(coverage.audited, found);
    count(faults.lost, lost);
    count(faults.doubled, doubled);
    count(faults.reordered, reordered);
  }

  /**
   * @param {string} room
   * @param {number} after
   * @param {Parley} client
   * @param {number} until
   */
  async #page(room, after, client, until) {
    const within = until - now();
    if (within <= 0) return undefined;
    try {
      return await client.persist('history', { room, after, limit: 100 }, within);
    } catch (error) {
      console.error(`Could not read the history of ${room} after ${after}: ${String(error)}`);
      return undefined;
    }
  }
}
