import type { Connection } from '../../hub/connection.ts';
import { Refused } from './refusals.ts';
import { sanitize } from './sanitize.ts';

type Ack = (value: unknown) => void;

/** One `emitWithAck` that waits for the acks of its connections. */
interface PendingAck {
  readonly connections: Connection[];
  readonly timer: NodeJS.Timeout;
}

const defaultMs = 10_000;
const longestMs = 60_000;
/** Events that wait for acks at the same time. */
const maxPending = 1000;
const maxId = 2 ** 31;

/** `emitWithAck` over many connections: one odd id for all of them, and one timer. Acks after the timeout are ignored. */
export class PendingAcks {
  readonly #pending = new Set<PendingAck>();
  readonly #refused: (error: unknown) => void;
  #last = -1;
  #current: PendingAck | undefined = undefined;

  constructor(refused: (error: unknown) => void) {
    this.#refused = refused;
  }

  /** The next calls of `add` belong to this event. @throws {Refused} if too many events wait. */
  begin(timeoutMs = defaultMs): void {
    if (this.#pending.size >= maxPending) throw new Refused('limit', `more than ${maxPending} events wait for acks`);
    const connections: Connection[] = [];
    // a bare timer: it ends the wait of many connections, of which none may have an ack
    const timer = setTimeout(() => this.#end(pending, id), Math.min(longestMs, Math.max(1, timeoutMs)));
    const pending: PendingAck = { connections, timer };
    this.#last = this.#last + 2 < maxId ? this.#last + 2 : 1;
    const id = String(this.#last);
    this.#pending.add(pending);
    this.#current = pending;
  }

  get id(): number {
    return this.#last;
  }

  add(connection: Connection, id: number, ack: Ack): void {
    this.#current?.connections.push(connection);
    const key = String(id);
    connection.expect(key, (args) => {
      connection.forget(key);
      try {
        ack(sanitize(args[0]));
      } catch (error) {
        this.#refused(error);
      }
    });
  }

  get size(): number {
    return this.#pending.size;
  }

  stop(): void {
    for (const { timer } of this.#pending) clearTimeout(timer);
    this.#pending.clear();
  }

  #end(pending: PendingAck, id: string): void {
    this.#pending.delete(pending);
    if (this.#current === pending) this.#current = undefined;
    for (const connection of pending.connections) connection.forget(id);
  }
}
