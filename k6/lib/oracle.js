// @ts-check
/**
 * Finds what is lost. k6's virtual users share no memory, so nobody knows what all others sent; the proof is in the
 * numbers instead:
 *
 * - Each receiver holds every event against its room's `rev`: after the head that it was told on joining they come one by
 *   one (Stream). At the end it asks for the head again, so that the last ones cannot be missing unseen.
 * - What it heard and what it pulled together must be every `seq` from its join to that head, however often it was cut.
 * - Each sender's acknowledged ids are looked for in the room's history at the end: there, once, under the acked number,
 *   and the history itself has no hole (Ledger).
 *
 * Together: what was acknowledged is in a history without holes, and everybody has all of that history.
 */
import { now, sleep } from './clock.js';
import { Ledger } from './ledger.js';
import { count, counts, faults, looked, times } from './metrics.js';
import { Ranges } from './ranges.js';
import { Stream } from './stream.js';

/**
 * @typedef {import('./parley.js').Parley} Parley
 * @typedef {import('./parley.js').Message} Message
 * @typedef {import('./parley.js').RoomSummary} RoomSummary
 * @typedef {{from: number, seen: Ranges, stream: Stream, behind: boolean}} Watched `from`: the head when it joined
 */

/** One user's view. It is the Listener of that user's connection. */
export class Witness {
  /** @type {Map<string, Watched>} */
  #rooms = new Map();
  /** @type {{run: string, lateMs: number, sample: number, settleMs: number}} */
  #options;
  #heard = 0;
  /** Somebody has called the run off. */
  onStop = () => {};
  /** What this user found, for its last word. */
  found = { lost: 0, doubled: 0, reordered: 0, unrecovered: 0 };

  /** @param {{run: string, lateMs: number, sample: number, settleMs: number}} options `sample`: one delivery in so many is measured */
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
   * @param {import('./parley.js').Heard} message
   * @param {number} at
   */
  live(message, at) {
    const watched = this.#watched(message.room);
    watched.stream.take(message.rev);
    watched.seen.add(message.seq);
    this.#heard += 1;
    count(looked.checked);
    const [run, , , sent] = message.stamp.split(' ');
    if (run === 'stop') this.onStop();
    if (run !== this.#options.run) return;
    count(counts.delivered);
    const took = at - Number(sent);
    if (this.#heard % this.#options.sample === 0) times.delivery.add(took);
    if (took > this.#options.lateMs) count(counts.late);
  }

  /**
   * An edit, a reaction and the like: no message of its own, but a place in the order of the room.
   * @param {string} room
   * @param {number} rev
   */
  changed(room, rev) {
    this.#watched(room).stream.take(rev);
    count(looked.checked);
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
    count(looked.checked, messages.length);
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
   * The user's last check, when nobody sends any more: asks each room for its head, gives what is on its way time to come,
   * then counts what never came and what cannot be had by asking either. What it tells it tells once: a second look, and
   * `closed` at the end, begin where it stopped.
   * @param {Parley} client
   */
  async settle(client) {
    for (const [room, watched] of this.#rooms) {
      if (watched.from === -1) continue; // an event that was on its way when the user left
      const { rev, messages } = await client.persist('history', { room, limit: 1 });
      const head = messages[messages.length - 1]?.seq ?? 0;
      const { settleMs } = this.#options;
      const until = now() + settleMs;
      while (now() < until && !(client.inSync && watched.stream.reached >= rev)) await sleep(50);
      const { stream } = watched;
      // off the room, or off the line again: it is owed nothing that it does not get by pulling
      const away = watched.behind || !client.ready;
      const short = this.#close(stream, away ? undefined : rev);
      watched.stream = new Stream();
      // events may have come since the head was read
      if (!away) watched.stream.begin(Math.max(rev, stream.reached));
      if (short > 0 || watched.seen.missing(watched.from + 1, head) > 0) {
        client.pull(room);
        while (now() < until + settleMs && !client.inSync) await sleep(50);
      }
      this.#tell('unrecovered', watched.seen.missing(watched.from + 1, head));
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
    this.#tell('lost', lost);
    this.#tell('doubled', stream.doubled);
    this.#tell('reordered', stream.reordered);
    return lost;
  }

  /**
   * @param {keyof typeof faults} fault
   * @param {number} n
   */
  #tell(fault, n) {
    if (n === 0) return;
    this.found[fault] += n;
    count(faults[fault], n);
  }
}

/** What the users of this VU were acknowledged, by room. */
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
   * Reads a room's history through and holds what was acknowledged against it. What it cannot read is counted as unaudited.
   * @param {string} room
   * @param {Parley} client of a member
   * @param {number} until instant at which it gives up
   */
  async check(room, client, until) {
    const ledger = this.#ledgers.get(room);
    if (ledger === undefined) return;
    this.#ledgers.delete(room);
    for (let after = ledger.after, more = true; more;) {
      const page = await this.#page(room, after, client, until);
      if (page === undefined) {
        count(looked.unaudited, ledger.size);
        return;
      }
      ledger.page(page.messages);
      more = page.more && page.messages.length > 0;
      after = page.after ?? after;
    }
    const { found, lost, doubled, reordered } = ledger.judge();
    count(looked.audited, found);
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
      console.error(`the history of ${room} after ${after} cannot be read: ${String(error)}`);
      return undefined;
    }
  }
}
