import { randomBytes } from 'node:crypto';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import { LocalUsers } from './local-users.ts';
import type { Change, Presence, PresenceListener, UserPresence } from './presence.ts';
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
 * Presence over nodes that share a Redis. Users whose state is not written yet are in a set. The write of a user has the
 * state at the moment of the write, so no write can be overtaken. A second attempt does no harm. The states of a node:
 *
 * offline → (Redis is available) joining: subscribe, begin an incarnation or find the old one alive, write all due users →
 * joined → (Redis is lost, even for a moment while joining) offline; → (a heartbeat finds this incarnation dead, or Redis
 * without its data) joining, with a new incarnation and all users due.
 *
 * Redis may lose any part of the data at any time. Each join compares all users with Redis, and each heartbeat a third of
 * them and their number; users that differ are due again.
 */
export class RedisPresence implements Presence {
  readonly #options: RedisPresenceOptions;
  readonly #scripts: PresenceScripts;
  /** Channel names as bytes. Messages of fan-out come by the same connection, and only messages of this channel become text. */
  readonly #channel: Buffer;
  /** Users that some node doubts, as a JSON list. */
  readonly #doubts: Buffer;
  readonly #users = new LocalUsers();
  /** Users whose state is not written yet. At most: the users here, and the users who left while Redis was unavailable. */
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
    subscriber.on('messageBuffer', this.#onMessage);
    this.#endings = [
      () => subscriber.off('messageBuffer', this.#onMessage),
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

  /** The name of this run of the node in Redis. */
  get incarnation(): string {
    return this.#incarnation;
  }

  get rememberedMs(): number {
    return seenTtlMs;
  }

  get localUsers(): number {
    return this.#users.size;
  }

  async read(users: readonly string[]): Promise<UserPresence[]> {
    return (await this.#read(users)) ?? users.map((user) => ({ online: this.#users.has(user) }));
  }

  async check(users: readonly string[]): Promise<UserPresence[] | undefined> {
    return this.#joined ? this.#read(users) : undefined;
  }

  doubt(users: readonly string[]): void {
    // a part at a time: a message is at most some tens of kilobytes
    for (let at = 0; at < users.length; at += batch) {
      const message = JSON.stringify(users.slice(at, at + batch));
      this.#options.redis.commands.publish(this.#doubts, message).catch(() => {
        // Redis is unavailable, so `check` returns undefined, and no user counts as gone
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
      // the other nodes find this one dead
      this.#options.log.warn(
        { err: error },
        'Could not remove this node from presence in Redis. Its users appear online for up to 12 s.',
      );
    }
    for (const end of this.#endings) end();
  }

  #newIncarnation(): string {
    return `${this.#options.node}/${randomBytes(9).toString('base64url')}`;
  }

  #moved(user: string): void {
    this.#due.add(user);
    if (this.#options.redis.writable) this.#work();
    else this.#reportAlone([user]);
  }

  /** Other nodes may have connections of the users. The next join corrects the report. */
  #reportAlone(users: Iterable<string>): void {
    const now = Date.now();
    const changes = [...users].map((user): Change => {
      return this.#users.has(user) ? { user, online: true } : { user, online: false, lastSeen: now, agoMs: 0 };
    });
    if (changes.length > 0) this.#options.listener.changed(changes);
  }

  #lost(): void {
    this.#losses++;
    this.#joined = false;
    this.#reportAlone(this.#due);
  }

  /** One run at a time; users that become due meanwhile are written in the next one. */
  #work(beat = false): void {
    if (this.#closed || this.#working !== undefined || !this.#options.redis.writable) return;
    this.#working = this.#run(beat).then(
      () => {
        this.#working = undefined;
        if (this.#due.size > 0 || !this.#joined) this.#work();
      },
      (error: unknown) => {
        // the users stay due: Redis was lost and `onWritable` starts again, or it refuses and the next beat tries again
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
    // other nodes lost Redis too and rejoin at about the same time: no incarnation is buried before that
    this.#mayBuryAt = performance.now() + deadMs;
    const dead = await this.#scripts.parleyPresenceBeat(this.#options.prefix, this.#incarnation);
    if (dead === null) await this.#rejoin();
    else {
      // a replica that took the master's place may lack the last seconds
      if (await this.#write()) await this.#verify([...this.#users.all()]);
      if (!(await this.#write())) await this.#rejoin();
    }
    // the subscriber may have been lost alone, or data since: the listener would read too early now
    if (losses !== this.#losses) return;
    this.#joined = true;
    this.#options.listener.reset();
  }

  /** Writes all users under a new name: the old one is dead, or Redis does not know it. */
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
    this.#options.log.warn({ dead: incarnation }, 'A node stopped sending heartbeats. Its users go offline.');
    for (let taken = batch; taken === batch;) {
      taken = Number(await this.#scripts.parleyPresenceBury(this.#options.prefix, incarnation, batch));
    }
  }

  /** A part of the users at each beat, so that no key expires while its user is here, and lost keys are written again. */
  #renew(): void {
    if (this.#renewal.length === 0) this.#renewal = [...this.#users.all()];
    const share = Math.ceil(this.#users.size / renewalBeats);
    for (const user of this.#renewal.splice(0, share)) if (this.#users.has(user)) this.#due.add(user);
  }

  /** Makes the users due whose state in Redis differs from the one here. No other write of this node runs meanwhile. */
  async #verify(users: readonly string[]): Promise<void> {
    let at = 0;
    do {
      const some = users.slice(at, at + batch).filter((user) => this.#users.has(user) && !this.#due.has(user));
      // a user that comes or goes from here on is due
      const expected = this.#due.size === 0 ? this.#users.size : undefined;
      const answer = await this.#scripts.parleyPresenceVerify(this.#options.prefix, this.#incarnation, ...some);
      const [count = 0, ...missing] = answer as number[];
      for (const place of missing) this.#due.add(some[place - 1] as string);
      if (expected !== undefined && count < expected) for (const user of this.#users.all()) this.#due.add(user);
      // missing users may hide surplus users in the count
      if (missing.length > 0 || (expected !== undefined && count > expected)) await this.#findSurplus();
      at += batch;
    } while (at < users.length);
  }

  /** Makes the users due that are in this node's set in Redis, but not here. */
  async #findSurplus(): Promise<void> {
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
        this.#reportAlone(users);
        throw error;
      }
      for (const user of users) this.#due.add(user);
      return false;
    }
    return true;
  }

  /** @returns undefined if Redis does not answer. A user who is here is online, whatever Redis has. */
  async #read(users: readonly string[]): Promise<UserPresence[] | undefined> {
    const answer: UserPresence[] = [];
    try {
      for (let at = 0; at < users.length; at += batch) {
        const some = users.slice(at, at + batch);
        const read = await this.#scripts.parleyPresenceRead(this.#options.prefix, ...some);
        answer.push(...statesOf(read as (number | string)[], some.length));
      }
    } catch (error) {
      // the link itself has logged that Redis is unavailable
      if (this.#options.redis.up) this.#options.log.warn({ err: error }, 'Could not read presence from Redis.');
      return undefined;
    }
    return answer.map((state, i) => (this.#users.has(users[i] as string) ? { online: true } : state));
  }

  #doubted(users: readonly string[]): void {
    const here = users.filter((user) => this.#users.has(user));
    for (const user of here) this.#due.add(user);
    if (here.length > 0) this.#work();
  }

  readonly #onMessage = (channel: Buffer, message: Buffer): void => {
    const doubts = channel.equals(this.#doubts);
    if (!doubts && !channel.equals(this.#channel)) return;
    try {
      if (doubts) this.#doubted(JSON.parse(message.toString()) as string[]);
      else this.#options.listener.changed(changesOf(message.toString()));
    } catch (error) {
      this.#options.log.warn({ err: error }, 'Could not read a change of presence from Redis; the change is dropped.');
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

function statesOf(answer: readonly (number | string)[], count: number): UserPresence[] {
  const now = Number(answer[2 * count]);
  return Array.from({ length: count }, (_, i) => {
    if (answer[2 * i] === 1) return { online: true };
    const seen = answer[2 * i + 1];
    if (seen === '' || seen === undefined) return { online: false };
    return { online: false, lastSeen: Number(seen), agoMs: now - Number(seen) };
  });
}
