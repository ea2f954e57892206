/**
 * The connections to Redis, and what can be done with it. Nothing here waits for Redis: what is kept in it is what its
 * users can do without or build again.
 *
 * `up`: events cross nodes. The server is a master, it answers every connection within a second, and what is published on
 * one connection comes back on the other.
 * `writable`: keys can be written too. A Redis that is full, or cannot save, still passes events on.
 *
 * Commands fail at once while Redis is unavailable, instead of piling up. Every reply that says "not here" or "not now" is
 * noticed by redis-connection.ts, whoever sent the command.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { StartupError } from '../startup-error.ts';
import type { Log } from '../telemetry/log.ts';
import { RedisConnection, type RedisConnectionName } from './redis-connection.ts';
import { RedisEcho } from './redis-echo.ts';
import { problemTexts, type RedisProblem } from './redis-refusal.ts';
import { RedisWrites } from './redis-writes.ts';

export interface RedisLink {
  /** For every command but subscriptions. A command rejects at once while Redis is unavailable. */
  readonly commands: Redis;
  /** For subscriptions alone. Subscribe again at each `up`: the driver does so too, but may lose some on the way. */
  readonly subscriber: Redis;
  /** Events can be published, and arrive. */
  readonly up: boolean;
  /** Keys can be written too. */
  readonly writable: boolean;
  /** Why it is not up or not writable, as a sentence for an operator. */
  readonly problem: string | undefined;
  /** `maxmemory-policy`, where this user of Redis may read it. */
  readonly evictionPolicy: string | undefined;
  /** Called at each change of `up`. @returns a function that ends it. */
  onChange(listener: (up: boolean) => void): () => void;
  /** Called at each change of `writable`. */
  onWritable(listener: (writable: boolean) => void): () => void;
  /** Called when Redis has lost data that was written: a flush, an eviction, a restart, a failover. */
  onLoss(listener: () => void): () => void;
  /** Another connection for subscriptions, of the same server; it ends with the link. */
  openSubscriber(name: 'door'): RedisConnection;
  /** Whether each part of Redis' work can be done, for metrics. */
  states(): Readonly<Partial<Record<RedisState, boolean>>>;
  close(): Promise<void>;
}

export type RedisState = 'events' | 'keys' | 'door';

export interface RedisLinkOptions {
  readonly url: string;
  readonly log: Log;
  /** Begins the key and the channel by which the link tries what it can do. */
  readonly prefix?: string;
  /** How long to wait for it at the start; afterwards the link begins as unavailable. */
  readonly waitMs?: number;
  /** Called for each reply that says "not here" or "not now". */
  readonly refused?: (problem: RedisProblem) => void;
}

/** @throws {StartupError} if Redis answers that it will not serve: a wrong password, a server that is no Redis. */
export async function openRedis(options: RedisLinkOptions): Promise<RedisLink> {
  const link = new Link(options);
  const deadline = performance.now() + (options.waitMs ?? 5000);
  while (!link.up && link.refusal === undefined && performance.now() < deadline) await delay(10);
  if (link.refusal !== undefined) {
    const { refusal } = link;
    await link.close();
    throw new StartupError(`Redis cannot be used: ${refusal} (REDIS_URL).`);
  }
  link.started();
  return link;
}

class Link implements RedisLink {
  readonly commands: Redis;
  readonly subscriber: Redis;
  readonly #options: RedisLinkOptions;
  readonly #commands: RedisConnection;
  readonly #subscriber: RedisConnection;
  readonly #subscribers = new Map<RedisConnectionName, RedisConnection>();
  readonly #echoes: RedisEcho[] = [];
  readonly #pingChannel: string;
  readonly #writes: RedisWrites;
  readonly #listeners = {
    up: new Set<(up: boolean) => void>(),
    writable: new Set<(writable: boolean) => void>(),
    loss: new Set<() => void>(),
  };
  #published = 0;
  #up = false;
  #writable = false;
  #started = false;
  #closing = false;
  /** Problems that the log has of this outage. */
  readonly #logged = new Set<RedisProblem>();
  #policyLogged: string | undefined = undefined;

  constructor(options: RedisLinkOptions) {
    const { prefix = 'parley:' } = options;
    this.#options = options;
    this.#pingChannel = `${prefix}ping:${randomBytes(9).toString('base64url')}`;
    this.#writes = new RedisWrites(`${prefix}probe:${randomBytes(9).toString('base64url')}`, {
      lost: () => this.#lost(),
      changed: () => this.#look(),
    });
    this.#commands = this.#connect('commands', (client) => this.#try(client));
    this.#subscriber = this.#openSubscriber('subscriber');
    this.commands = this.#commands.client;
    this.subscriber = this.#subscriber.client;
  }

  get up(): boolean {
    return this.#up;
  }

  get writable(): boolean {
    return this.#writable;
  }

  get evictionPolicy(): string | undefined {
    return this.#writes.policy;
  }

  get problem(): string | undefined {
    const problem = this.#problem;
    return problem === undefined ? undefined : problemTexts[problem];
  }

  /** Why no waiting helps, for the start. */
  get refusal(): string | undefined {
    for (const { problem, reason } of [this.#commands, this.#subscriber]) {
      if (problem === 'password' || problem === 'permission') return problemTexts[problem];
      if (/Unknown RESP|Protocol error/.test(reason?.message ?? '')) return 'the server answers, but is no Redis';
    }
    return this.#writes.problem === 'permission' ? problemTexts.permission : undefined;
  }

  onChange(listener: (up: boolean) => void): () => void {
    this.#listeners.up.add(listener);
    return () => this.#listeners.up.delete(listener);
  }

  onWritable(listener: (writable: boolean) => void): () => void {
    this.#listeners.writable.add(listener);
    return () => this.#listeners.writable.delete(listener);
  }

  onLoss(listener: () => void): () => void {
    this.#listeners.loss.add(listener);
    return () => this.#listeners.loss.delete(listener);
  }

  openSubscriber(name: 'door'): RedisConnection {
    return this.#openSubscriber(name);
  }

  states(): Readonly<Partial<Record<RedisState, boolean>>> {
    const interop = this.#subscribers.get('door');
    return {
      events: this.#up,
      keys: this.#writable,
      ...(interop === undefined ? {} : { door: this.#up && interop.up }),
    };
  }

  close(): Promise<void> {
    this.#closing = true;
    this.#up = this.#writable = false;
    for (const connection of [this.#commands, ...this.#subscribers.values()]) connection.close();
    return Promise.resolve();
  }

  /** The log is silent before: what is refused then ends the start. */
  started(): void {
    this.#started = true;
    if (this.#problem === undefined) this.#options.log.info('Redis is available.');
    this.#report();
  }

  get #problem(): RedisProblem | undefined {
    return this.#commands.problem ?? this.#subscriber.problem ?? (this.#up ? this.#writes.problem : 'unreachable');
  }

  #connect(name: RedisConnectionName, probe: (client: Redis) => Promise<unknown>): RedisConnection {
    return new RedisConnection({
      name,
      url: this.#options.url,
      probe,
      changed: () => this.#look(),
      refused: (refusal, error) => {
        this.#options.refused?.(refusal.problem);
        if (refusal.of === 'writes') this.#writes.refused(refusal.problem, error);
      },
    });
  }

  #openSubscriber(name: RedisConnectionName): RedisConnection {
    const echo = new RedisEcho(this.#pingChannel, {
      published: () => this.#published,
      heard: () => this.#look(),
      unreachable: () => this.#unreachable(),
    });
    const connection = this.#connect(name, (client) => echo.probe(client));
    echo.listen(connection.client);
    this.#subscribers.set(name, connection);
    this.#echoes.push(echo);
    return connection;
  }

  /** The probe of `commands`: publishes to the subscribers, and once a second writes and looks at the server's role. */
  async #try(client: Redis): Promise<void> {
    const n = this.#published + 1;
    const published = client.publish(this.#pingChannel, String(n)).then(() => (this.#published = n));
    const [role] = await Promise.all([this.#writes.probe(client), published]);
    if (role !== 'replica') return;
    // the other connections ended at the same server, and follow the name to the new master
    for (const connection of [this.#commands, ...this.#subscribers.values()]) connection.cut('replica');
    throw new Error(problemTexts.replica);
  }

  /** The connections have ended at servers that do not know each other. */
  #unreachable(): void {
    if (!this.#commands.up) return;
    for (const connection of [this.#commands, ...this.#subscribers.values()]) connection.cut('unreachable');
  }

  #look(): void {
    if (this.#closing) return;
    const connected = this.#commands.up && this.#subscriber.up;
    const [echo] = this.#echoes;
    if (!connected) for (const each of this.#echoes) each.reset();
    else if (echo?.heard === false) this.#commands.check();
    const up = connected && echo?.heard === true;
    const writable = up && this.#writes.problem === undefined;
    const [wasUp, wasWritable] = [this.#up, this.#writable];
    this.#up = up;
    this.#writable = writable;
    this.#report();
    if (up !== wasUp) for (const listener of this.#listeners.up) listener(up);
    if (writable !== wasWritable) for (const listener of this.#listeners.writable) listener(writable);
  }

  #lost(): void {
    this.#options.log.warn('Redis has lost keys. Presence and rates are written to it again.');
    for (const listener of this.#listeners.loss) listener();
  }

  /** One line for each problem of an outage, and one when Redis is back. */
  #report(): void {
    const { log } = this.#options;
    if (!this.#started || this.#closing) return;
    const problem = this.#problem;
    const policy = this.#writes.policy;
    if (policy !== undefined && policy !== this.#policyLogged) {
      this.#policyLogged = policy;
      if (policy !== 'noeviction') log.warn({ policy }, evictionText(policy));
    }
    if (problem === undefined) {
      if (this.#logged.size > 0) log.info('Redis is available again.');
      this.#logged.clear();
      return;
    }
    if (this.#logged.has(problem)) return;
    // it is what is left of every other problem until a message has come back
    if (problem === 'unreachable' && (this.#logged.size > 0 || this.#commands.up)) return;
    this.#logged.add(problem);
    const err = this.#commands.reason ?? this.#subscriber.reason ?? this.#writes.reason;
    log.warn({ problem, err }, `${outageText(this.#up)}: ${problemTexts[problem]}.`);
  }
}

function outageText(up: boolean): string {
  return up
    ? 'Redis takes no writes; each node counts presence and rates alone until it does'
    : 'Redis is unavailable; events cross nodes by Postgres, and each node counts presence and rates alone until it is back';
}

export function evictionText(policy: string): string {
  return `Redis may evict keys (maxmemory-policy ${policy}). Set noeviction: evicted presence is wrong for up to 15 s.`;
}
