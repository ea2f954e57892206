/**
 * Joins declarations and handlers to one entry for each command, which is all that the dispatcher knows of a command. The
 * types allow exactly one handler for each declared command.
 */
import type { z } from 'zod';
import type { Caller } from '../sessions/caller.ts';
import type { CommandSchema, Declarations } from '../protocol/command-schema.ts';
import type { Seen } from '../protocol/http-route.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { Encoded } from './encoded.ts';
import type { SeqFields } from './old-history.ts';

type Input<S extends CommandSchema> = z.output<S['input']>;
type Output<S extends CommandSchema> = z.output<S['output']>;

/** The object that a conditional write compares: the output of the command that its route names. */
type SeenOf<D extends Declarations, S extends CommandSchema> = S['http'] extends {
  readonly ifMatch: infer R extends keyof D;
}
  ? Seen<Output<D[R]>>
  : never;

/** Handlers get validated input. Their answer is an object, or JSON text. */
export type HandlersOf<D extends Declarations> = {
  readonly [C in keyof D]: (
    caller: Caller,
    input: Input<D[C]>,
    seen?: SeenOf<D, D[C]>,
  ) => Promise<Output<D[C]> | Encoded> | Output<D[C]>;
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

type Handle = (caller: Caller, input: unknown, seen?: unknown) => object | Promise<object>;
type HandleOfConnection = (connection: Connection, user: LocalUser, input: unknown) => object | Promise<object>;
type Check = (caller: Caller, input: unknown) => Promise<void>;
type ByName<T> = Readonly<Partial<Record<string, T>>>;

/** The handler of a command, with its steps round it. */
interface Handled {
  readonly handle: Handle;
  readonly before: Around<unknown, object>['before'] | undefined;
  readonly after: Around<unknown, object>['after'] | undefined;
  readonly ofConnection: undefined;
}

/** The handler of a command about its own connection. */
interface HandledForConnection {
  readonly handle: undefined;
  readonly before: undefined;
  readonly after: undefined;
  readonly ofConnection: HandleOfConnection;
}

export type HandledEntry = CommandFacts & Handled;
export type Entry = CommandFacts & (Handled | HandledForConnection);

interface CommandFacts extends SeqFields {
  readonly name: string;
  readonly weight: number;
  readonly input: z.ZodType;
  /** The answer is a page of messages: a user gets few of these at once. */
  readonly reads: boolean;
  /** The answer may be large: no other one is read while the last one is unsent. */
  readonly large: boolean;
  /** The command stores something, which only the process that holds the database may do. */
  readonly stores: boolean;
  /** The check before the handler, for a caller without a connection. */
  readonly check: Check | undefined;
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
  const unbound = handlers as ByName<Handle>;
  const bound = ofConnection as ByName<HandleOfConnection>;
  const steps = around as ByName<Around<unknown, object>>;
  // all entries have the same fields, so that V8 reads them fast
  const handlerOf = (name: string): Handled | HandledForConnection => {
    const [handle, own] = [unbound[name], bound[name]];
    const { before, after } = steps[name] ?? {};
    if (handle !== undefined) return { handle, before, after, ofConnection: undefined };
    if (own !== undefined) return { handle: undefined, before: undefined, after: undefined, ofConnection: own };
    throw new Error(`The command ${name} has no handler.`);
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
        ...handlerOf(name),
        check: (checks as ByName<Check>)[name],
        succeeded: metrics.commands.labels({ command: name, outcome: 'ok' }),
        ackSeconds: metrics.ackSeconds.labels({ command: name }),
      },
    ]),
  );
}
