import { randomBytes } from 'node:crypto';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import { LocalUsers } from './local-users.ts';
import type { Change, Presence, PresenceListener, Standing } from './presence.ts';
import { deadMs, definePresenceScripts, seenTtlMs, type PresenceScripts } from './redis-scripts.ts';
import { every } from '../jobs/periodic.ts';

export interface RedisPresenceOptions {
  readonly redis: RedisLink;
  readonly prefix: string;
  /** Name of this node. */
  readonly node: string;
  readonly listener: PresenceListener;
  readonly log: Log;
}

const beatMs = 3000;
/** Users in one call of a script: about a millisecond of Redis's time. */
const batch = 500;
/** A tenth of the keys' life is 6 minutes: within it each user's key is renewed. */
const renewalBeats = 120;
/** Within so many heartbeats each user is compared with what Redis has: 9 to 12 s. */
const verifyBeats = 3;

/**
 * Presence over nodes that share a Redis. What is not yet written there is a set of users; what is written of each is
 * whether they are here at that moment, so nothing can be overtaken and a second attempt does no harm.
 *
 * away → (Redis is there) joining: subscribe, begin an incarnation or find the old one alive, write what is due → joined
 * → (Redis is lost, though it be but for a moment while joining) away; → (a heartbeat finds that it was declared dead, or that Redis lost its data) joining, with a
 * new incarnation and all users due.
 *
 * Redis may lose any part of it at any time. Each join compares all users with Redis, and each heartbeat a third of them
 * and their number; what differs is due again.
 */
export class RedisPresence implements Presence {
  readonly #options: RedisPresenceOptions;
  readonly #scripts: PresenceScripts;
  /** As it comes. Text is made of this channel's messages alone: fan-out's come by the same connection. */
  readonly #channel: Buffer;
  /** Users that some node doubts, as a JSON list. */
  readonly #doubts: Buffer;
  readonly #users = new LocalUsers();
  /** Users whose coming or going is not written yet. At most: the users here, and those who left while away. */
  readonly #due = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #endings: (() => void)[];
  #incarnation: string;
  #joined = false;
  /** How often Redis was lost, or lost data. */
  #losses = 0;
  #working: Promise<void> | undefined = undefined;
  #mayBuryAt = 0;
  #renewal: string[] = [];
  #unverified: string[] = [];
  #closed = false;

  constructor(options: RedisPresenceOptions) {
    this.#options = options;
    this.#scripts = definePresenceScripts(options.redis.commands);
    this.#channel = Buffer.from(`${options.prefix}presence`);
    this.#doubts = Buffer.from(`${options.prefix}presence:doubt`);
    this.#incarnation = this.#newIncarnation();
    const { subscriber } = options.redis;
    subscriber.on('messageBuffer', this.#heard);
    this.#endings = [
      () => subscriber.off('messageBuffer', this.#heard),
      options.redis.onWritable((writable) => {
        if (writable) this.#work();
        else this.#lost();
      }),
      options.redis.onLoss(() => {
        this.#losses++;
        this.#joined = false;
        this.#work();
      }),
    ];
    this.#timer = every(() => this.#work(true), beatMs);
    this.#work();
  }

  arrived(user: string): void {
    if (this.#users.add(user)) this.#moved(user);
  }

  left(user: string): void {
    if (this.#users.remove(user)) this.#moved(user);
  }

  /** Under which name this node lives in Redis. */
  get incarnation(): string {
    return this.#incarnation;
  }

  get rememberedMs(): number {
    return seenTtlMs;
  }

  get localUsers(): number {
    return this.#users.size;
  }

  async read(users: readonly string[]): Promise<Standing[]> {
    return (await this.#ask(users)) ?? users.map((user) => ({ online: this.#users.has(user) }));
  }

  async check(users: readonly string[]): Promise<Standing[] | undefined> {
    return this.#joined ? this.#ask(users) : undefined;
  }

  doubt(users: readonly string[]): void {
    // a part at a time: a message is at most some tens of kilobytes
    for (let at = 0; at < users.length; at += batch) {
      const message = JSON.stringify(users.slice(at, at + batch));
      this.#options.redis.commands.publish(this.#doubts, message).catch(() => {
        // Redis is unavailable, so `check` answers nothing, and nobody is taken for gone
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const user of this.#users.all()) this.#due.add(user);
    this.#users.clear();
    await this.#working;
    try {
      if (this.#joined && (await this.#write())) {
        await this.#scripts.parleyPresenceLeave(this.#options.prefix, this.#incarnation);
      }
    } catch (error) {
      // the others find it dead
      this.#options.log.warn({ err: error }, 'Redis was not told that this node is leaving');
    }
    for (const end of this.#endings) end();
  }

  #newIncarnation(): string {
    return `${this.#options.node}/${randomBytes(9).toString('base64url')}`;
  }

  #moved(user: string): void {
    this.#due.add(user);
    if (this.#options.redis.writable) this.#work();
    else this.#tellAlone([user]);
  }

  /** Redis cannot be asked whether another node has them; it is corrected when it can. */
  #tellAlone(users: Iterable<string>): void {
    const now = Date.now();
    const changes = [...users].map((user): Change => {
      return this.#users.has(user) ? { user, online: true } : { user, online: false, lastSeen: now, agoMs: 0 };
    });
    if (changes.length > 0) this.#options.listener.changed(changes);
  }

  #lost(): void {
    this.#losses++;
    this.#joined = false;
    this.#tellAlone(this.#due);
  }

  /** One at a time; what becomes due meanwhile is taken along. */
  #work(beat = false): void {
    if (this.#closed || this.#working !== undefined || !this.#options.redis.writable) return;
    this.#working = this.#run(beat).then(
      () => {
        this.#working = undefined;
        if (this.#due.size > 0 || !this.#joined) this.#work();
      },
      (error: unknown) => {
        // what was due still is: Redis went away and `up` starts over, or it refuses and the next beat tries again
        this.#working = undefined;
        const { redis, log } = this.#options;
        if (redis.writable) log.warn({ err: error }, 'Could not write presence to Redis; retrying within 3 s.');
      },
    );
  }

  async #run(beat: boolean): Promise<void> {
    if (!this.#joined) await this.#join();
    else if (beat) await this.#beat();
    if (!(await this.#write())) await this.#rejoin();
  }

  async #join(): Promise<void> {
    const losses = this.#losses;
    await this.#options.redis.subscriber.subscribe(this.#channel, this.#doubts);
    // those who were away as well come back at about the same time: nobody is buried before they had time to
    this.#mayBuryAt = performance.now() + deadMs;
    const dead = await this.#scripts.parleyPresenceBeat(this.#options.prefix, this.#incarnation);
    if (dead === null) await this.#rejoin();
    else {
      // a replica that took the master's place may lack the last seconds
      if (await this.#write()) await this.#verify([...this.#users.all()]);
      if (!(await this.#write())) await this.#rejoin();
    }
    // the subscriber may have been lost alone, or data since: what was missed would be read too early now
    if (losses !== this.#losses) return;
    this.#joined = true;
    this.#options.listener.reset();
  }

  /** Everything here is written under a new name: the old one is dead, or was never known. */
  async #rejoin(): Promise<void> {
    this.#incarnation = this.#newIncarnation();
    this.#mayBuryAt = performance.now() + deadMs;
    await this.#scripts.parleyPresenceJoin(this.#options.prefix, this.#incarnation);
    for (const user of this.#users.all()) this.#due.add(user);
    await this.#write();
  }

  async #beat(): Promise<void> {
    const dead = await this.#scripts.parleyPresenceBeat(this.#options.prefix, this.#incarnation);
    if (dead === null) return this.#rejoin();
    // with nothing due, Redis has as many users as are here
    if (!(await this.#write())) return this.#rejoin();
    if (this.#unverified.length === 0) this.#unverified = [...this.#users.all()];
    await this.#verify(this.#unverified.splice(0, Math.ceil(this.#users.size / verifyBeats)));
    this.#renew();
    if (performance.now() < this.#mayBuryAt) return;
    for (const incarnation of dead as string[]) await this.#bury(incarnation);
  }

  /** Every node may do it at once: each batch is taken by one of them. */
  async #bury(incarnation: string): Promise<void> {
    this.#options.log.warn({ dead: incarnation }, 'a node is silent: its users go offline');
    for (let taken = batch; taken === batch;) {
      taken = Number(await this.#scripts.parleyPresenceBury(this.#options.prefix, incarnation, batch));
    }
  }

  /** A part of the users at each beat, so that no key runs out while its user is here, and what was lost is put right. */
  #renew(): void {
    if (this.#renewal.length === 0) this.#renewal = [...this.#users.all()];
    const share = Math.ceil(this.#users.size / renewalBeats);
    for (const user of this.#renewal.splice(0, share)) if (this.#users.has(user)) this.#due.add(user);
  }

  /** Makes due what Redis has otherwise than this node. Nothing else of this node is written meanwhile. */
  async #verify(users: readonly string[]): Promise<void> {
    let at = 0;
    do {
      const some = users.slice(at, at + batch).filter((user) => this.#users.has(user) && !this.#due.has(user));
      // who comes or goes from here on is due
      const expected = this.#due.size === 0 ? this.#users.size : undefined;
      const answer = await this.#scripts.parleyPresenceVerify(this.#options.prefix, this.#incarnation, ...some);
      const [count = 0, ...missing] = answer as number[];
      for (const place of missing) this.#due.add(some[place - 1] as string);
      if (expected !== undefined && count < expected) for (const user of this.#users.all()) this.#due.add(user);
      // what is missing may hide in the count what is too many
      if (missing.length > 0 || (expected !== undefined && count > expected)) await this.#findStrangers();
      at += batch;
    } while (at < users.length);
  }

  /** Users that this node's set in Redis has, and that are not here. */
  async #findStrangers(): Promise<void> {
    const key = `${this.#options.prefix}presence:node:${this.#incarnation}`;
    for (let cursor = '0'; ;) {
      const [next, users] = await this.#options.redis.commands.sscan(key, cursor, 'COUNT', batch);
      for (const user of users) if (!this.#users.has(user)) this.#due.add(user);
      if (next === '0') return;
      cursor = next;
    }
  }

  /** @returns false if this incarnation is dead. */
  async #write(): Promise<boolean> {
    while (this.#due.size > 0) {
      const users = [...this.#due].slice(0, batch);
      for (const user of users) this.#due.delete(user);
      const args = users.flatMap((user) => [user, this.#users.has(user) ? '1' : '0']);
      try {
        const alive = await this.#scripts.parleyPresenceSet(this.#options.prefix, this.#incarnation, ...args);
        if (alive === 1) continue;
      } catch (error) {
        for (const user of users) this.#due.add(user);
        this.#tellAlone(users);
        throw error;
      }
      for (const user of users) this.#due.add(user);
      return false;
    }
    return true;
  }

  /** @returns undefined if Redis does not answer. A user who is here is online, whatever Redis has. */
  async #ask(users: readonly string[]): Promise<Standing[] | undefined> {
    const answer: Standing[] = [];
    try {
      for (let at = 0; at < users.length; at += batch) {
        const some = users.slice(at, at + batch);
        const read = await this.#scripts.parleyPresenceRead(this.#options.prefix, ...some);
        answer.push(...standings(read as (number | string)[], some.length));
      }
    } catch (error) {
      // the link itself has logged that Redis is unavailable
      if (this.#options.redis.up) this.#options.log.warn({ err: error }, 'Could not read presence from Redis.');
      return undefined;
    }
    return answer.map((standing, i) => (this.#users.has(users[i] as string) ? { online: true } : standing));
  }

  #doubted(users: readonly string[]): void {
    const here = users.filter((user) => this.#users.has(user));
    for (const user of here) this.#due.add(user);
    if (here.length > 0) this.#work();
  }

  readonly #heard = (channel: Buffer, message: Buffer): void => {
    const doubts = channel.equals(this.#doubts);
    if (!doubts && !channel.equals(this.#channel)) return;
    try {
      if (doubts) this.#doubted(JSON.parse(message.toString()) as string[]);
      else this.#options.listener.changed(changesOf(message.toString()));
    } catch (error) {
      this.#options.log.warn({ err: error }, 'a change of presence could not be taken');
    }
  };
}

function changesOf(text: string): Change[] {
  return (JSON.parse(text) as [string, 0 | 1, number?, number?][]).map(([user, online, lastSeen, agoMs]) =>
    online === 1 || lastSeen === undefined || agoMs === undefined
      ? { user, online: online === 1 }
      : { user, online: false, lastSeen, agoMs },
  );
}

function standings(answer: readonly (number | string)[], count: number): Standing[] {
  const now = Number(answer[2 * count]);
  return Array.from({ length: count }, (_, i) => {
    if (answer[2 * i] === 1) return { online: true };
    const seen = answer[2 * i + 1];
    if (seen === '' || seen === undefined) return { online: false };
    return { online: false, lastSeen: Number(seen), agoMs: now - Number(seen) };
  });
}
