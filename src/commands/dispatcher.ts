/** Runs the commands of connections: limits, validation, the handler, and exactly one ack, whatever happens. */
import { FairTurns } from '../rates/fair-turns.ts';
import type { CommandName } from '../protocol/commands.ts';
import { ParleyError, type ErrorCode } from '../protocol/errors.ts';
import type { Caller } from '../sessions/caller.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Admission, AdmissionLimits } from './admission.ts';
import { Answers } from './answers.ts';
import { parseInput } from './input.ts';
import type { Refusals } from './refusals.ts';
import { Running, type Drained } from './running.ts';
import type { CommandTable, Entry, HandledEntry } from './table.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import { withoutOldSeqs } from './old-history.ts';
import type { EventPacket } from '../transport/socketio/packet.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';

export interface CommandLimits extends AdmissionLimits {
  /** Large answers of one user that are read at once; eight times as many wait. */
  readonly readsAtOncePerUser: number;
  readonly databaseReadWaitMs: number;
}

export interface CommandParts {
  readonly table: CommandTable;
  readonly limits: CommandLimits;
  readonly admission: Admission;
  readonly unsent: Unsent;
  readonly shares: UserShares;
  readonly refusals: Refusals;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class Commands {
  readonly #table: CommandTable;
  readonly #admission: Admission;
  readonly #answers: Answers;
  readonly #reads: FairTurns;
  readonly #running = new Running();
  readonly #metrics: Metrics;

  constructor(options: CommandParts) {
    const { metrics } = options;
    this.#metrics = metrics;
    this.#table = options.table;
    this.#admission = options.admission;
    this.#answers = new Answers(options);
    const { readsAtOncePerUser: placesPerUser, databaseReadWaitMs: waitMs } = options.limits;
    const waits = { waiting: 20_000, waitingPerUser: 8 * placesPerUser, waitMs };
    this.#reads = new FairTurns({ place: 'answers', places: Infinity, placesPerUser, ...waits, metrics });
  }

  /** Refuses these commands with `draining` from now on. Resolves when the running ones have been answered. */
  async drain(kind: Drained): Promise<void> {
    await this.#running.drain(kind);
    this.#answers.flush();
  }

  /** @param event of a connection with a user, which the server's load admits. */
  run(connection: Connection, { ack, args: [name, input] }: EventPacket): void {
    const { user } = connection;
    if (user === undefined) return;
    const from = performance.now();
    const entry = this.#table.get(name);
    try {
      this.#running.admit(entry);
      this.#admission.admitCommand(connection, from, entry);
      if (entry === undefined)
        throw new ParleyError('unknown_command', `There is no command ${JSON.stringify(name.slice(0, 40))}.`);
      const data = parseInput(entry.input, input);
      if (entry.reads) this.#admission.admitPage(connection);
      if (entry.large) this.#admission.admitLarge(connection, user);
      const answer = entry.reads
        ? this.#reads.take(user.id, () => this.#read(connection, user, entry, data))
        : this.#handle(connection, user, entry, data);
      if (answer instanceof Promise) this.#later(connection, ack, entry, from, answer);
      else this.#answers.succeed(connection, ack, entry, from, answer);
    } catch (error) {
      this.#answers.fail(connection, ack, entry, error);
    }
  }

  /**
   * Runs a command for a caller without a connection. The caller's requests are limited before.
   * @param data the input, as the schema of the command has parsed it
   * @param seen the object that a conditional write compares
   * @returns the output, or `Encoded` with its JSON text
   * @throws {ParleyError} also for failures of the database. Any other error is a fault, which the caller of `call` logs.
   */
  async call(caller: Caller, name: CommandName, data: unknown, seen?: unknown): Promise<object> {
    const from = performance.now();
    const entry = this.#table.get(name);
    if (entry?.handle === undefined) throw new ParleyError('unknown_command');
    const { handle, check } = entry;
    try {
      const run = async (): Promise<object> => {
        if (check !== undefined) await check(caller, data);
        return handle(caller, data, seen);
      };
      const output = await this.attend(entry, () => (entry.reads ? this.#reads.take(caller.user.id, run) : run()));
      entry.succeeded.inc();
      entry.ackSeconds.observe((performance.now() - from) / 1000);
      return output;
    } catch (thrown) {
      const error = clientError(thrown);
      this.#metrics.commands.labels({ command: name, outcome: codeOf(error) }).inc();
      throw error;
    }
  }

  /**
   * Runs work that is no command under the same load and drain as commands. A stopping node waits for its end.
   * @throws {ParleyError} `draining`, `overloaded`
   */
  async attend<T>(work: Pick<Entry, 'reads' | 'stores'>, run: () => T | Promise<T>): Promise<T> {
    this.#running.admit(work);
    this.#admission.admitCall();
    this.#running.began(work);
    try {
      return await run();
    } finally {
      this.#running.ended(work);
    }
  }

  /** Runs a read after its wait, during which more answers may have been sent to the user. */
  #read(connection: Connection, user: LocalUser, entry: Entry, data: unknown): object | Promise<object> {
    if (connection.user !== user) throw new ParleyError('unavailable', 'The connection left before its turn came.');
    this.#admission.admitLarge(connection, user);
    return this.#handle(connection, user, entry, data);
  }

  #handle(connection: Connection, user: LocalUser, entry: Entry, data: unknown): object | Promise<object> {
    const { oldEpochRooms } = connection;
    const input = oldEpochRooms === undefined ? data : withoutOldSeqs(oldEpochRooms, entry, data);
    if (entry.handle === undefined) return entry.ofConnection(connection, user, input);
    if (entry.after !== undefined) return this.#handleAnd(entry.after, connection, user, entry, input);
    return entry.handle(connection.callerFor(user), entry.before?.(connection, user, input) ?? input);
  }

  /** Runs a step after the handler, before the ack is sent. */
  async #handleAnd(
    after: NonNullable<HandledEntry['after']>,
    connection: Connection,
    user: LocalUser,
    { before, handle }: HandledEntry,
    input: unknown,
  ): Promise<object> {
    const answer = await handle(connection.callerFor(user), before?.(connection, user, input) ?? input);
    const ended = after(connection, input, answer);
    if (ended !== undefined) await ended;
    return answer;
  }

  #later(connection: Connection, ack: string, entry: Entry, from: number, answer: Promise<object>): void {
    this.#running.began(entry, connection);
    answer
      .then(
        (output) => this.#answers.succeed(connection, ack, entry, from, output, true),
        (error: unknown) => this.#answers.fail(connection, ack, entry, error, true),
      )
      .catch((error: unknown) => this.#answers.fail(connection, ack, entry, error, true))
      .finally(() => this.#running.ended(entry, connection));
  }
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof ParleyError ? error.code : 'internal';
}
