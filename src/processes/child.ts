import { fork, type ChildProcess } from 'node:child_process';
import { inTime } from '../jobs/within.ts';
import type { Readings } from '../telemetry/group-metrics.ts';
import type { FromWorker, ToWorker } from './messages.ts';

export interface ChildOptions {
  /** The program, read from the disk at each start: a worker runs the version that is installed at its start. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The text of `/metrics` for all workers, when a client requests `/metrics` from this worker. */
  readonly scrape: () => Promise<string>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * One worker process, from its fork to its end.
 *
 * starting ── `ready` ──▶ ready ── `stop()` ──▶ leaving ──▶ ended; and from each of them, by itself, ended.
 */
export class Child {
  state: 'starting' | 'ready' | 'leaving' | 'ended' = 'starting';
  /** The URL of the worker; rejects if the worker ends before it listens. */
  readonly ready: Promise<string>;
  readonly ended: Promise<Exit>;
  readyAt: number | undefined = undefined;
  /** The reason that the worker gave for its failed start. */
  failure: string | undefined = undefined;
  readings: Readings | undefined = undefined;
  readonly #options: ChildOptions;
  readonly #process: ChildProcess;
  #collecting: { id: number; settle: (readings: Readings | undefined) => void } | undefined;
  /** A worker that owes an answer gets no second request: its pipe would fill while the worker hangs. */
  #owes: number | undefined = undefined;
  #nextId = 0;

  constructor(options: ChildOptions) {
    this.#options = options;
    // advanced: prom-client's NaN and infinities would be null in JSON
    this.#process = fork(options.entry, options.args, {
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => resolve({ code, signal }));
      // the fork failed, or a message could not be sent to an ending worker, whose exit follows
      this.#process.on('error', (error) => {
        if (this.#process.pid !== undefined) return;
        this.failure = `A worker could not be started: ${error.message}`;
        resolve({ code: 1, signal: null });
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#process.on('message', (message: FromWorker) => this.#receive(message, resolve));
      void this.ended.then(({ code, signal }) => {
        this.state = 'ended';
        this.#collecting?.settle(undefined);
        reject(new Error(this.failure ?? `The worker ended with ${signal ?? code}.`));
      });
    });
    this.ready.catch(() => {}); // each caller that waits gets the error
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The metrics of the worker; undefined if the worker does not answer in time. */
  collect(timeoutMs: number): Promise<Readings | undefined> {
    if (this.#owes !== undefined) return Promise.resolve(undefined);
    const id = this.#nextId++;
    this.#owes = id;
    const readings = new Promise<Readings | undefined>((settle) => (this.#collecting = { id, settle }));
    this.#send({ type: 'collect', id });
    return inTime(timeoutMs, readings).finally(() => {
      if (this.#collecting?.id === id) this.#collecting = undefined;
    });
  }

  /** Stops the worker in order. A worker that has not ended after the limit is killed. */
  stop(limitMs: number): Promise<Exit> {
    if (this.state !== 'ended') this.state = 'leaving';
    this.#process.kill('SIGTERM');
    // a bare timer: late work is killed, and its end is still awaited
    const timer = setTimeout(() => this.kill(), limitMs);
    void this.ended.then(() => clearTimeout(timer));
    return this.ended;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #receive(message: FromWorker, ready: (url: string) => void): void {
    switch (message.type) {
      case 'ready':
        if (this.state === 'starting') this.state = 'ready';
        this.readyAt = performance.now();
        ready(message.url);
        return;
      case 'failed':
        this.failure = message.message;
        return;
      case 'readings':
        this.readings = message.readings;
        if (message.id === this.#owes) this.#owes = undefined;
        if (message.id === this.#collecting?.id) this.#collecting.settle(message.readings);
        return;
      case 'farewell':
        this.readings = message.readings;
        return;
      case 'scrape':
        this.#options.scrape().then(
          (text) => this.#send({ type: 'text', id: message.id, text }),
          // the worker answers `unavailable` after its time limit
          () => {},
        );
        return;
      default:
        message satisfies never;
    }
  }

  #send(message: ToWorker): void {
    if (this.#process.connected) this.#process.send(message, () => {});
  }
}
