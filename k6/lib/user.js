// @ts-check
import { now, sleep, sleepUntil } from './clock.js';
import { count, counts, times } from './metrics.js';
import { Witness } from './oracle.js';
import { Parley } from './parley.js';

/**
 * @typedef {import('./settings.js').Settings} Settings
 * @typedef {{run: string, start: number, end: number}} Run
 */

/** @param {string} run @param {number} n */
export const roomName = (run, n) => `k6-${run}-${n}`;

/** One simulated user: a connection, its rooms, and its witness of the oracle. */
export class User {
  /** The last message that was acknowledged. @type {{room: string, seq: number} | undefined} */
  said;
  #unanswered = 0;
  #n = 0;
  /** @type {number[]} ms of each send since the last `takeAcks` */
  #took = [];
  #padding = '';

  /**
   * @param {object} given
   * @param {number} given.index
   * @param {string} given.name
   * @param {string} given.token
   * @param {string} given.url
   * @param {Run} given.run
   * @param {Settings & Record<string, number>} given.settings
   * @param {string[]} given.rooms
   * @param {import('./oracle.js').Audit} given.audit
   * @param {() => boolean} given.stopped whether a user has stopped the whole run
   * @param {() => void} given.callOff stops the users of this virtual user
   */
  constructor({ index, name, token, url, run, settings, rooms, audit, stopped, callOff }) {
    this.index = index;
    this.name = name;
    this.run = run;
    this.settings = settings;
    this.rooms = rooms;
    this.audit = audit;
    this.stopped = stopped;
    this.callOff = callOff;
    /** @type {Map<string, number>} the seq of each room when this user joined it */
    this.heads = new Map();
    this.witness = new Witness({
      run: run.run,
      lateMs: settings.lateMs,
      sample: Math.max(1, settings.sample),
      settleMs: settings.settleSeconds * 1000,
    });
    this.witness.onStop = callOff;
    const bytes = settings['syncBytes'];
    this.client = new Parley({ url, token, ...(bytes === undefined ? {} : { syncBytes: bytes }) }, this.witness);
    this.#padding = 'x'.repeat(settings.bodyBytes);
  }

  /** @returns {boolean} whether the load is over for this user */
  get over() {
    return this.stopped() || now() >= this.run.end;
  }

  /**
   * Connects the user, and joins the rooms.
   * @returns {Promise<boolean>} false: the user could not connect, not even in the time for the last events
   */
  async enter() {
    let timer = 0;
    const late = new Promise((resolve) => {
      const ms = this.run.end - now() + this.settings.settleSeconds * 1000;
      timer = setTimeout(() => resolve(false), Math.max(0, ms));
    });
    const entered = await Promise.race([this.#enter(), late]);
    clearTimeout(timer); // k6 would wait for it
    return entered === true;
  }

  async #enter() {
    await this.client.connect();
    for (const room of this.rooms) this.heads.set(room, (await this.client.join(room)).seq);
    return true;
  }

  /** Sends one message, and repeats it with the same id until it is acknowledged. @param {string} [room] */
  say(room = this.rooms[0]) {
    if (room === undefined) return;
    if (this.#unanswered >= this.settings.pending) {
      count(counts.skipped);
      return;
    }
    void this.#say(room);
  }

  /** @param {string} room */
  async #say(room) {
    this.#unanswered += 1;
    this.#n += 1;
    const n = this.#n;
    const id = crypto.randomUUID();
    count(counts.sent);
    const from = now();
    try {
      const body = { k6: `${this.run.run} ${this.index} ${n} ${from}`, text: this.#padding };
      const { seq, tries, ms } = await this.client.persist('message:send', { room, id, body });
      count(counts.acked);
      this.said = { room, seq };
      this.#took.push(tries === 1 ? ms : now() - from);
      this.audit.acknowledged(room, { id, from: this.name, n, seq, again: tries > 1 });
    } catch {
      count(counts.unsent); // the error is counted where it occurred
      this.#took.push(Infinity);
    } finally {
      this.#unanswered -= 1;
      if (this.#took.length > 10_000) this.#took.length = 0; // no part calls takeAcks
    }
  }

  /**
   * @param {number} lateMs
   * @returns {{p95: number, late: number}} of the sends answered since the last call, `late`: the share over lateMs
   */
  takeAcks(lateMs) {
    const sorted = this.#took.splice(0).sort((a, b) => a - b);
    const late = sorted.filter((ms) => ms > lateMs).length;
    // several sends and no answer: later than every limit
    if (sorted.length === 0) return this.#unanswered > 2 ? { p95: Infinity, late: 1 } : { p95: 0, late: 0 };
    return { p95: sorted[Math.floor(sorted.length * 0.95)] ?? 0, late: late / sorted.length };
  }

  /** Runs a command that changes nothing or may fail. Its error is counted. @param {string} name @param {object} input */
  async request(name, input) {
    try {
      return await this.client.command(name, /** @type {any} */ (input));
    } catch {
      return undefined;
    }
  }

  /**
   * Runs `act` on a schedule, from a random moment of the first interval until the end of the load. The schedule does not wait
   * for answers, so a slow server does not get less load.
   * @param {number} intervalMs
   * @param {() => void} act
   * @param {number} [until]
   */
  async every(intervalMs, act, until = this.run.end) {
    for (let due = now() + Math.random() * intervalMs; due < until; due += intervalMs) {
      await sleepUntil(due);
      if (this.over) return;
      times.lag.add(Math.max(0, now() - due));
      if (this.client.ready) act();
    }
  }

  /** Waits until every send is answered. `persist` gives up after a minute. */
  async answered() {
    while (this.#unanswered > 0) await sleep(20);
  }
}
