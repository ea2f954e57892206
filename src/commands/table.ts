/**
 * Joins declarations and handlers to one entry for each command, which is all that the dispatcher knows of a command. The
 * types allow exactly one handler for each declared command.
 */
import type { z } from 'zod';
import type { Caller } from '../sessions/caller.ts';
import type { CommandSchema, Declarations } from '../protocol/command-schema.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { Encoded } from './encoded.ts';
import type { SeqFields } from './old-history.ts';

type Input<S extends CommandSchema> = z.output<S['input']>;
type Output<S extends CommandSchema> = z.output<S['output']>;

/** Handlers get validated input. Their answer is an object, or JSON text. */
export type HandlersOf<D extends Declarations> = {
  readonly [C in keyof D]: (caller: Caller, input: Input<D[C]>) => Promise<Output<D[C]> | Encoded> | Output<D[C]>;
};

/** Handlers of commands about their own connection, which no command without a connection can reach. */
export type ConnectionHandlersOf<D extends Declarations> = {
  readonly [C in keyof D]: (
    connection: Connection,
    user: LocalUser,
    input: Input<D[C]>,
  ) => Promise<Output<D[C]>> | Output<D[C]>;
};

/** The steps round the handler of a command that arrives on a connection. */
export interface Around<I, O> {
  /** Runs in the turn of the handler. @returns the input for the handler. @throws {ParleyError} to refuse the command */
  readonly before?: (connection: Connection, user: LocalUser, input: I) => I;
  /** Runs before the ack is sent. */
  readonly after?: (connection: Connection, input: I, answer: O | Encoded) => void | Promise<void>;
}

export type AroundOf<D extends Declarations> = {
  readonly [C in keyof D]?: Around<Input<D[C]>, Output<D[C]>>;
};

/** Checks before the handlers, for callers without a connection. */
export type ChecksOf<D extends Declarations> = {
  readonly [C in keyof D]?: (caller: Caller, input: Input<D[C]>) => Promise<void>;
};

export interface CommandSet<D extends Declarations, OfConnection extends keyof D> {
  readonly declarations: D;
  readonly handlers: HandlersOf<Omit<D, OfConnection>>;
  readonly ofConnection: ConnectionHandlersOf<Pick<D, OfConnection>>;
  readonly around: AroundOf<Omit<D, OfConnection>>;
  readonly checks?: ChecksOf<D>;
}

type Run = (connection: Connection, user: LocalUser, input: unknown) => object | Promise<object>;
type AnyHandler = (caller: Caller, input: unknown) => object | Promise<object>;
type Check = (caller: Caller, input: unknown) => Promise<void>;
type ByName<T> = Readonly<Partial<Record<string, T>>>;

export interface Entry extends SeqFields {
  readonly name: string;
  readonly weight: number;
  readonly input: z.ZodType;
  /** The answer is a page of messages: a user gets few of these at once. */
  readonly reads: boolean;
  /** The answer may be large: no other one is read while the last one is unsent. */
  readonly large: boolean;
  /** The command stores something, which only the process that holds the database may do. */
  readonly stores: boolean;
  readonly run: Run;
  /** Runs the command for a caller without a connection. Undefined: the command is about its own connection. */
  readonly handle: AnyHandler | undefined;
  readonly succeeded: { inc(): void };
  readonly ackSeconds: { observe(seconds: number): void };
}

/** The entries of the commands, by name. */
export type CommandTable = ReadonlyMap<string, Entry>;

export function commandTable<D extends Declarations, OfConnection extends keyof D>(
  { declarations, handlers, ofConnection, around, checks = {} }: CommandSet<D, OfConnection>,
  metrics: Metrics,
): CommandTable {
  // the type of each handler comes from the schema that parses its input
  const unbound = handlers as ByName<AnyHandler>;
  const bound = ofConnection as ByName<Run>;
  const steps = around as ByName<Around<unknown, object>>;
  const runOf = (name: string): Run => {
    const handle = unbound[name];
    const run = handle === undefined ? bound[name] : withSteps(handle, steps[name]);
    if (run === undefined) throw new Error(`The command ${name} has no handler.`);
    return run;
  };
  return new Map(
    Object.entries<CommandSchema>(declarations).map(([name, declared]) => [
      name,
      {
        name,
        weight: declared.weight,
        message: declared.message,
        mark: declared.mark,
        input: declared.input,
        reads: declared.answer === 'page',
        large: declared.answer !== undefined,
        stores: declared.kind === 'write',
        run: runOf(name),
        handle: checked(unbound[name], (checks as ByName<Check>)[name]),
        succeeded: metrics.commands.labels({ command: name, outcome: 'ok' }),
        ackSeconds: metrics.ackSeconds.labels({ command: name }),
      },
    ]),
  );
}

function checked(handle: AnyHandler | undefined, check: Check | undefined): AnyHandler | undefined {
  if (handle === undefined || check === undefined) return handle;
  return async (caller, input) => {
    await check(caller, input);
    return handle(caller, input);
  };
}

/** Called once for each command, so that a run creates no function. */
function withSteps(handle: AnyHandler, { before, after }: Around<unknown, object> = {}): Run {
  const begin: Run =
    before === undefined
      ? (connection, user, input) => handle(connection.callerFor(user), input)
      : (connection, user, input) => handle(connection.callerFor(user), before(connection, user, input));
  if (after === undefined) return begin;
  return async (connection, user, input) => {
    const answer = await begin(connection, user, input);
    const ended = after(connection, input, answer);
    if (ended !== undefined) await ended;
    return answer;
  };
}
