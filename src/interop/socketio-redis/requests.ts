import type { Connection } from '../../hub/connection.ts';
import { plain } from './plain.ts';
import { Refused } from './refusals.ts';

type Ack = (value: unknown) => void;

interface Question {
  readonly asked: Connection[];
  readonly timer: NodeJS.Timeout;
}

const defaultMs = 10_000;
const longestMs = 60_000;
/** Questions that wait for their answers at once. */
const maxOpen = 1000;
const maxId = 2 ** 31;

/** `emitWithAck` over many connections: one odd id for all of them, one timer, and whoever answers late is not heard. */
export class Questions {
  readonly #open = new Set<Question>();
  readonly #refused: (error: unknown) => void;
  #last = -1;
  #current: Question | undefined = undefined;

  constructor(refused: (error: unknown) => void) {
    this.#refused = refused;
  }

  /** The next `add` are of this question. @throws {Refused} if too many wait. */
  begin(timeoutMs = defaultMs): void {
    if (this.#open.size >= maxOpen) throw new Refused('limit', `more than ${maxOpen} events wait for acks`);
    const asked: Connection[] = [];
    const timer = setTimeout(() => this.#end(question, id), Math.min(longestMs, Math.max(1, timeoutMs)));
    const question: Question = { asked, timer };
    this.#last = this.#last + 2 < maxId ? this.#last + 2 : 1;
    const id = String(this.#last);
    this.#open.add(question);
    this.#current = question;
  }

  get id(): number {
    return this.#last;
  }

  add(connection: Connection, id: number, ack: Ack): void {
    this.#current?.asked.push(connection);
    const key = String(id);
    connection.expect(key, (args) => {
      connection.forget(key);
      try {
        ack(plain(args[0]));
      } catch (error) {
        this.#refused(error);
      }
    });
  }

  get size(): number {
    return this.#open.size;
  }

  stop(): void {
    for (const { timer } of this.#open) clearTimeout(timer);
    this.#open.clear();
  }

  #end(question: Question, id: string): void {
    this.#open.delete(question);
    if (this.#current === question) this.#current = undefined;
    for (const connection of question.asked) connection.forget(id);
  }
}
