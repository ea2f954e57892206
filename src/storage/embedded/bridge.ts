import { existsSync, renameSync, rmSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import type { FromWorker, ToWorker, WorkerTask } from './worker.ts';

export interface EmbeddedPostgres {
  /** A new connection, for the `socket` option of the `postgres` client. */
  readonly connect: () => Duplex;
  /** Lets running queries end, writes a checkpoint and ends the worker. */
  close(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The database's own folder. The caller has made sure that no other process opens it. */
  readonly path: string;
  /** Called once, if the worker ends without a request. */
  readonly onFatal: (error: Error) => void;
}

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (!existsSync(options.path)) await create(options.path);
  const worker = startWorker({ task: 'serve', path: options.path });
  let ended: Error | undefined;
  let closing = false;
  const exited = new Promise<void>((resolve) => {
    let fault: Error | undefined;
    worker.on('message', (message: FromWorker) => {
      if (message !== 'ready') fault = new Error(message.fatal);
    });
    worker.once('error', (error) => {
      fault = error instanceof Error ? error : new Error(String(error));
    });
    worker.once('exit', (code) => {
      const reason = closing ? 'is closed' : `ended unexpectedly: ${fault?.message ?? `exit code ${code}`}`;
      ended = new Error(`the embedded database ${reason}`, { cause: fault });
      resolve();
    });
  });
  const ready = new Promise<void>((resolve) => {
    worker.on('message', (message: FromWorker) => {
      if (message === 'ready') resolve();
    });
  });
  await Promise.race([ready, exited]);
  if (ended !== undefined) throw ended;
  void exited.then(() => {
    if (!closing && ended !== undefined) options.onFatal(ended);
  });
  return {
    connect() {
      if (ended !== undefined) return new RefusedSocket(ended);
      const { port1, port2 } = new MessageChannel();
      worker.postMessage({ connect: port2 } satisfies ToWorker, [port2]);
      return new PortSocket(port1);
    },
    async close() {
      closing = true;
      worker.postMessage('close' satisfies ToWorker);
      await exited;
    },
  };
}

/** initdb works in a folder of its own, so that an interrupted first start leaves no folder that seems to be a database. */
async function create(path: string): Promise<void> {
  const unfinished = `${path}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  const worker = startWorker({ task: 'create', path: unfinished });
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the embedded database could not be created (exit ${code})`));
    });
  });
  renameSync(unfinished, path);
}

function startWorker(task: WorkerTask): Worker {
  // With the default of 4 MB, JSON nested 25,000 deep overflows the thread's stack before Postgres finds it too deep.
  const options = { name: 'postgres', workerData: task, resourceLimits: { stackSizeMb: 64 } };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url), options);
  // Run from source: Node 20 applies --import hooks to the main thread only, so the worker registers tsx itself.
  const hooks = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const file = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  return new Worker(`import(${hooks}).then((tsx) => { tsx.register(); return import(${file}); })`, {
    ...options,
    eval: true,
  });
}

/**
 * The stand-in for the client's network socket. No back-pressure towards the client: an answer is in memory before it
 * is sent, and the client collects it whole.
 */
class PortSocket extends Duplex {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    super();
    this.#port = port;
    port.on('message', (data: Uint8Array) => this.push(Buffer.from(data.buffer)));
    port.on('close', () => this.destroy());
  }

  /** The client reads it before it says goodbye, and before it waits for `close`. */
  get readyState(): 'open' | 'closed' {
    return this.destroyed ? 'closed' : 'open';
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // The client writes slices of buffers it goes on using, so what leaves is a copy.
    const copy = new Uint8Array(chunk);
    this.#port.postMessage(copy, [copy.buffer]);
    done();
  }

  override _final(done: () => void): void {
    done();
    this.destroy();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#port.close();
    done(error);
  }
}

/** For connections after the worker's end. The socket fails at the first write, because the client would wait without end for a factory that throws. */
class RefusedSocket extends Duplex {
  readonly #reason: Error;

  constructor(reason: Error) {
    super();
    this.#reason = reason;
  }

  get readyState(): 'open' | 'closed' {
    return this.destroyed ? 'closed' : 'open';
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: (error: Error) => void): void {
    done(this.#reason);
  }
}
