/**
 * Checks whether keys can be written, and whether Redis still has written keys. Once a second this process writes a growing
 * number to its own key and reads the number before. If that number is gone or lower, Redis has lost keys.
 */
import type { Redis } from 'ioredis';
import type { WriteProblem } from './redis-refusal.ts';

export interface RedisWritesParts {
  readonly lost: () => void;
  /** Called when `problem` or `policy` changes. */
  readonly changed: () => void;
}

interface Commands {
  parleyProbe(key: string, n: number, lifeMs: number): Promise<string | null>;
}

const script = `
local before = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return before`;
const everyMs = 1000;
const lifeMs = 600_000;
/** A refusal holds for this time even if the probe succeeds: writes of other parts may still be refused. */
const refusalMs = 2000;
const policyMs = 60_000;

export class RedisWrites {
  readonly #key: string;
  readonly #parts: RedisWritesParts;
  readonly #defined = new WeakSet<Redis>();
  #problem: WriteProblem | undefined = undefined;
  #reason: Error | undefined = undefined;
  #policy: string | undefined = undefined;
  #n = 0;
  /** The last number that Redis has taken. */
  #written: { readonly n: number; readonly at: number } | undefined = undefined;
  #refusedAt = -Infinity;
  #triedAt = -Infinity;
  #policyAt = -Infinity;
  #connection: unknown = undefined;

  constructor(key: string, parts: RedisWritesParts) {
    this.#key = key;
    this.#parts = parts;
  }

  get problem(): WriteProblem | undefined {
    return this.#problem;
  }

  get reason(): Error | undefined {
    return this.#reason;
  }

  get policy(): string | undefined {
    return this.#policy;
  }

  /** Redis refused a write of any part. */
  refused(problem: WriteProblem, reason: Error): void {
    this.#refusedAt = performance.now();
    this.#set(problem, reason);
  }

  /** @returns the role of the server, once a second and on each new connection. */
  async probe(client: Redis): Promise<'master' | 'replica' | undefined> {
    const now = performance.now();
    if (this.#connection === client.stream && now - this.#triedAt < everyMs) return undefined;
    this.#connection = client.stream;
    this.#triedAt = now;
    const policy = now - this.#policyAt < policyMs ? undefined : this.#readPolicy(client, now);
    const [role] = await Promise.all([roleOf(client), this.#write(client, now), policy]);
    return role;
  }

  async #write(client: Redis, now: number): Promise<void> {
    if (!this.#defined.has(client)) client.defineCommand('parleyProbe', { numberOfKeys: 1, lua: script });
    this.#defined.add(client);
    const n = ++this.#n;
    let before: string | null;
    try {
      before = await (client as unknown as Commands).parleyProbe(this.#key, n, lifeMs);
    } catch (error) {
      // the connection has handled the error; a refused write leaves the connection as it is
      if (this.#refusedAt >= now) return;
      throw error;
    }
    const { n: written = 0, at = now } = this.#written ?? {};
    this.#written = { n, at: now };
    if (now - this.#refusedAt > refusalMs) this.#set(undefined, undefined);
    if (now - at < lifeMs && Number(before ?? 0) < written) this.#parts.lost();
  }

  async #readPolicy(client: Redis, now: number): Promise<void> {
    this.#policyAt = now;
    try {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await client.info('memory'))?.[1];
      if (policy === this.#policy) return;
      this.#policy = policy;
      this.#parts.changed();
    } catch {
      // this user of Redis may not read it, or the connection is lost, which redis-connection.ts detects
    }
  }

  #set(problem: WriteProblem | undefined, reason: Error | undefined): void {
    this.#reason = reason;
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#parts.changed();
  }
}

async function roleOf(client: Redis): Promise<'master' | 'replica' | undefined> {
  try {
    const [role] = (await client.role()) as unknown[];
    return role === 'master' ? 'master' : 'replica';
  } catch {
    // not permitted here; a write to a replica is refused in any case
    return undefined;
  }
}
