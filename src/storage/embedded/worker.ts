/**
 * The worker thread of the embedded database. Its parent requests one of two tasks:
 *
 * - `create`: run initdb into an empty folder and end. initdb takes 850 MB and a thread gives memory back only when it
 *   ends, so this is never the thread that serves.
 * - `serve`: open the folder, answer `ready`, then serve a client on each MessagePort that the parent sends.
 *
 * An exception in this file is not caught: it ends the worker, and the parent calls `onFatal`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { Session } from './session.ts';

export interface WorkerTask {
  readonly task: 'create' | 'serve';
  readonly path: string;
}

export type ToWorker = { readonly connect: MessagePort } | 'close';

export type FromWorker = 'ready' | { readonly fatal: string };

const settings = [
  // Measured after a reopen: 165 MB of process memory instead of 295 MB; the system's page cache does the rest.
  'shared_buffers=16MB',
  // Nobody replicates from here, and the least WAL is the fastest.
  'wal_level=minimal',
  'max_wal_senders=0',
  'min_wal_size=32MB',
  'max_wal_size=64MB',
];

const parent = parentPort;
if (parent === null) throw new Error('worker.ts runs only as a worker thread');

const { task, path } = workerData as WorkerTask;
const database = await PGlite.create({
  dataDir: path,
  startParams: [...PGlite.defaultStartParams, ...settings.flatMap((setting) => ['-c', setting])],
});

endOnFault(parent);

if (task === 'create') {
  await database.close();
} else {
  const session = new Session({
    execute: (message, onData) => database.execProtocolRawStream(message, { syncToFs: false, onRawData: onData }),
    inTransaction: () => database.isInTransaction(),
  });
  parent.on('message', (message: ToWorker) => {
    if (message === 'close') {
      void close(parent);
    } else {
      session.connect(message.connect);
    }
  });
  parent.postMessage('ready' satisfies FromWorker);

  async function close(port: MessagePort): Promise<void> {
    await session.end();
    // Without it the next start replays the log.
    await database.exec('checkpoint');
    await database.close();
    port.close();
  }
}

/**
 * PGlite takes every exception of Postgres' main loop for a reported SQL error and calls the loop again. The calls never
 * end if the loop cannot go on (call stack exhausted, memory damaged, FATAL). Only the first kind, a long jump with status
 * 100, may go back to PGlite; after any other the thread ends here.
 */
function endOnFault(port: MessagePort): void {
  const reportedError = 100;
  const loop: { _PostgresMainLoopOnce: () => void } = database.Module;
  const once = loop._PostgresMainLoopOnce;
  loop._PostgresMainLoopOnce = () => {
    try {
      once();
    } catch (error) {
      if ((error as { status?: unknown }).status === reportedError) throw error;
      port.postMessage({ fatal: String(error) } satisfies FromWorker);
      process.exit(1);
    }
  };
}
