/**
 * One connection to Redis, and whether it can be used.
 *
 * down → (connected, and the probe is answered) up → (closed, silent for `answerMs`, or a reply that `refusalOf` knows)
 * down. A connection that goes down is closed at once, so that no command waits for it, and made again with growing pauses.
 *
 * The probe is sent every `checkMs`. An answer is late only if no byte has arrived meanwhile. So a connection with much
 * traffic is not silent, and neither is the connection of a process that was busy itself.
 */
import { Redis } from 'ioredis';
import { every } from '../jobs/periodic.ts';
import { refusalOf, type RedisProblem, type Refusal } from './redis-refusal.ts';

export type RedisConnectionName = 'commands' | 'subscriber' | 'door';

export interface RedisConnectionOptions {
  readonly name: RedisConnectionName;
  readonly url: string;
  /** Resolves when Redis has answered. Error replies are noticed by the connection, whichever command had them. */
  readonly probe: (client: Redis) => Promise<unknown>;
  /** Called when `problem` changes. */
  readonly changed: () => void;
  /** Called for each reply that `refusalOf` knows. */
  readonly refused: (refusal: Refusal, error: Error) => void;
}

const checkMs = 200;
const answerMs = 700;
/** A connection that was up for so long begins with the shortest pause again. */
const steadyMs = 5000;

export class RedisConnection {
  readonly name: RedisConnectionName;
  readonly client: Redis;
  readonly #options: RedisConnectionOptions;
  readonly #timer: NodeJS.Timeout;
  #problem: RedisProblem | undefined = 'connection';
  #reason: Error | undefined = undefined;
  #probe: object | undefined = undefined;
  #connectedAt = 0;
  #byteAt = 0;
  #upAt: number | undefined = undefined;
  #attempts = 0;
  #closed = false;
  /** The socket that is being ended: each of its pending commands may say so again. */
  #ending: object | undefined = undefined;

  constructor(options: RedisConnectionOptions) {
    this.name = options.name;
    this.#options = options;
    this.client = new QuietRedis(options.url, {
      connectTimeout: 2000,
      // a server that does not answer does not answer to the end of the connection either
      disconnectTimeout: 1,
      enableOfflineQueue: false,
      // the probe finds what the driver's own check would
      enableReadyCheck: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: options.name === 'subscriber',
      maxRetriesPerRequest: 0,
      lazyConnect: true,
      retryStrategy: () => Math.min(1000, 50 * 2 ** Math.min(this.#attempts++, 5)) * (0.5 + Math.random() / 2),
      reconnectOnError: (error) => (this.#refused(error), false),
    });
    this.client.on('connect', () => {
      this.#connectedAt = this.#byteAt = performance.now();
      this.client.stream.on('data', () => (this.#byteAt = performance.now()));
    });
    this.client.on('ready', () => this.check());
    this.client.on('close', () => {
      this.#probe = undefined;
      if (this.up) this.#set('connection');
    });
    this.client.on('error', (error: Error) => {
      if (!this.#refused(error)) this.#set('connection', error);
    });
    this.client.connect().catch(() => {}); // the driver tries again
    this.#timer = every(() => this.check(), checkMs);
  }

  get up(): boolean {
    return this.#problem === undefined;
  }

  get problem(): RedisProblem | undefined {
    return this.#problem;
  }

  /** The error of Redis or of the network, for the log. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Sends the probe, unless one is under way. */
  check(): void {
    const { status } = this.client;
    if (status === 'connect' && performance.now() - this.#connectedAt > answerMs) this.cut('silent');
    if (status !== 'ready' || this.#probe !== undefined || this.#closed) return;
    const probe = (this.#probe = {});
    const timer = this.#watch(probe);
    this.#options
      .probe(this.client)
      .then(
        () => {
          if (this.#probe !== probe) return;
          this.#probe = undefined;
          this.#set(undefined);
        },
        (error: unknown) => {
          // a reply that is in no list, or a connection that is closed by now
          if (this.#probe === probe && this.client.status === 'ready') this.cut('connection', error as Error);
        },
      )
      .finally(() => {
        timer.end();
        if (this.#probe === probe) this.#probe = undefined;
      });
  }

  /** Closes the connection, to make it again. */
  cut(problem: RedisProblem, error?: Error): void {
    this.#probe = undefined;
    this.#set(problem, error);
    const { status, stream } = this.client;
    if (this.#closed || stream === this.#ending || (status !== 'ready' && status !== 'connect')) return;
    this.#ending = stream;
    this.client.disconnect(true);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#set('connection');
    this.client.disconnect();
  }

  /** Cuts the connection when the probe's answer is late. No `within`: each byte that arrives moves the limit. */
  #watch(probe: object): { end(): void } {
    const from = performance.now();
    let timer: NodeJS.Timeout;
    const check = (): void => {
      if (this.#probe !== probe) return;
      const restMs = Math.max(from, this.#byteAt) + answerMs - performance.now();
      if (restMs <= 1) this.cut('silent');
      else timer = setTimeout(late, restMs);
    };
    // what has come while this process was busy is read first
    const late = (): void => void setImmediate(check);
    timer = setTimeout(late, answerMs);
    return { end: () => clearTimeout(timer) };
  }

  /** @returns whether the error is one that says "not here" or "not now". */
  #refused(error: Error): boolean {
    const { name } = (error as { command?: { name?: string } }).command ?? {};
    const refusal = refusalOf(error, name?.toLowerCase());
    if (refusal === undefined) return false;
    if (!this.#closed) this.#options.refused(refusal, error);
    if (refusal.of === 'connection') {
      this.#set(refusal.problem, error);
      // not within the driver's own handling of the reply
      queueMicrotask(() => this.cut(refusal.problem, error));
    }
    return true;
  }

  #set(problem: RedisProblem | undefined, reason?: Error): void {
    if (problem === undefined) this.#upAt ??= performance.now();
    else {
      if (this.#upAt !== undefined && performance.now() - this.#upAt > steadyMs) this.#attempts = 0;
      this.#upAt = undefined;
    }
    this.#reason = reason;
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (!this.#closed) this.#options.changed();
  }
}

/**
 * The driver makes subscriptions again by itself and drops their promises. A connection that is cut in that moment would
 * end the process by an unhandled rejection (seen four times in two runs of test/cluster/chaos). Callers of a command
 * still get their rejection.
 */
class QuietRedis extends Redis {
  override sendCommand(...sent: Parameters<Redis['sendCommand']>): unknown {
    sent[0].promise.catch(() => {});
    return super.sendCommand(...sent);
  }
}
