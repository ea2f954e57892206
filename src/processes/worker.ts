/** The worker's end of the link to its parent. */
import { within } from '../jobs/within.ts';
import { ParleyError } from '../protocol/errors.ts';
import { StartupError } from '../startup-error.ts';
import type { Readings } from '../telemetry/group-metrics.ts';
import type { FromWorker, ToWorker } from './messages.ts';

export interface ParentLink {
  /** How many workers share the port, the machine's memory and the database. */
  readonly workers: number;
  ready(url: string): void;
  /** Resolves when the message is sent. */
  failed(message: string): Promise<void>;
  /** Sends the last counts of this worker; resolves when the message is sent. */
  farewell(readings: Readings): Promise<void>;
  /** The text of `/metrics` for all workers. @throws {ParleyError} `unavailable` */
  metrics(): Promise<string>;
  /** Answers the parent from now on. */
  answerWith(readings: () => Promise<Readings>): void;
  /** Resolves after the end of the parent. */
  readonly orphaned: Promise<void>;
}

const answerMs = 3000;
/** Scrapes that may wait for the parent; further ones are refused. */
const maxScrapes = 100;

/** Resolves when the message is sent, or when the parent has ended. */
function send(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || process.send === undefined) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}

/** @param place `--worker 2/4`: the second of four. @throws {StartupError} when no parent started this process. */
export function joinParent(place: string): ParentLink {
  const workers = Number(/^[1-9]\d*\/([1-9]\d*)$/.exec(place)?.[1] ?? 0);
  if (workers === 0 || process.send === undefined)
    throw new StartupError('The option --worker is internal: `parley serve --workers N` starts its workers with it.');
  const scrapes = new Map<number, (text: string) => void>();
  let read: (() => Promise<Readings>) | undefined;
  let nextId = 0;

  process.on('message', (message: ToWorker) => {
    if (message.type === 'text') scrapes.get(message.id)?.(message.text);
    else if (read !== undefined) void read().then((readings) => send({ type: 'readings', id: message.id, readings }));
  });

  return {
    workers,
    ready: (url) => void send({ type: 'ready', url }),
    failed: (message) => send({ type: 'failed', message }),
    farewell: (readings) => send({ type: 'farewell', readings }),
    answerWith(readings) {
      read = readings;
    },
    orphaned: new Promise((resolve) => {
      process.once('disconnect', resolve);
    }),
    metrics() {
      if (scrapes.size >= maxScrapes) throw new ParleyError('overloaded');
      const id = nextId++;
      const text = new Promise<string>((resolve) => scrapes.set(id, resolve));
      void send({ type: 'scrape', id });
      return within(answerMs, text)
        .catch((cause: unknown) => {
          throw new ParleyError('unavailable', 'The parent of the workers does not answer.', { cause });
        })
        .finally(() => scrapes.delete(id));
    },
  };
}
