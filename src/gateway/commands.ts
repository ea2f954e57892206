/** Takes commands off a connection: limits, validation, the handler, and exactly one ack, whatever happens. */
import type { z } from 'zod';
import { commandWeights } from '../protocol/command-weights.ts';
import { commands, type CommandName } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { FairTurns } from '../messaging/fair-turns.ts';
import { limits } from '../protocol/limits.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { CommandRate, CommandRateLimits } from './command-rate.ts';
import type { Connection, LocalUser } from './connection.ts';
import { Outgoing } from './outgoing.ts';
import type { Overload } from './overload.ts';
import type { Unsent } from './unsent.ts';
import type { UserShares } from './user-shares.ts';
import { Encoded } from './encoded.ts';
import type { Caller, Handlers } from './handlers.ts';
import { namedBy, refuseOldSeq, type SeqField } from './old-history.ts';
import { encodeAck } from './packets/encode.ts';
import type { EventArgs, Frames } from './packets/packet.ts';

export interface CommandLimits extends CommandRateLimits {
  readonly maxPendingCommands: number;
  /** Large answers of one user that are made at once; eight times as many wait. */
  readonly readsAtOncePerUser: number;
  readonly databaseReadWaitMs: number;
}

export interface CommandParts {
  readonly handlers: Handlers;
  readonly limits: CommandLimits;
  readonly rate: CommandRate;
  readonly overload: Overload;
  readonly unsent: Unsent;
  readonly shares: UserShares;
  readonly metrics: Metrics;
  readonly log: Log;
}

type AnyHandler = (caller: Caller, input: unknown) => object | Promise<object>;

interface Entry {
  readonly name: CommandName;
  readonly weight: number;
  readonly reads: boolean;
  /** Its answer may be large, so none is made while the last one is unsent. */
  readonly large: boolean;
  /** It stores something, which only the process that holds the database may. */
  readonly stores: boolean;
  /** Where it names a message. */
  readonly names: SeqField | undefined;
  readonly input: z.ZodType;
  readonly handle: AnyHandler;
  readonly succeeded: { inc(): void };
  readonly ackSeconds: { observe(seconds: number): void };
}

/** Their answers may be large, so only so many of a connection are made at once. */
const reading: ReadonlySet<CommandName> = new Set([
  'history',
  'sync',
  'message:versions',
  'thread:history',
  'thread:list',
  'mentions',
  'room:pins',
  'search',
  'unread',
]);

/** Pages of other things: tens of kilobytes, as often as somebody asks. */
const listing: ReadonlySet<CommandName> = new Set([
  'room:list',
  'room:members',
  'room:search',
  'room:bans',
  'room:receipts',
  'invitation:list',
  'link:list',
  'session:list',
  'presence:get',
  'presence:watch',
]);

const storing: ReadonlySet<CommandName> = new Set([
  'message:send',
  'message:edit',
  'message:delete',
  'reaction:add',
  'reaction:remove',
  'message:pin',
  'message:unpin',
  'thread:follow',
  'thread:unfollow',
  'thread:read',
  'read',
  'delivered',
  'room:create',
  'room:invite',
  'room:join',
  'room:leave',
  'room:update',
  'room:archive',
  'room:unarchive',
  'room:delete',
  'room:role',
  'room:transfer',
  'room:remove',
  'room:mute',
  'room:unmute',
  'room:ban',
  'room:unban',
  'invitation:create',
  'invitation:accept',
  'invitation:decline',
  'invitation:cancel',
  'link:create',
  'link:revoke',
  'link:join',
  'session:revoke',
]);

export class Commands {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #limits: CommandLimits;
  readonly #rate: CommandRate;
  readonly #overload: Overload;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #outgoing: Outgoing;
  readonly #unsent: Unsent;
  readonly #reads: FairTurns;
  readonly #shares: UserShares;
  readonly #running = { writes: 0, all: 0 };
  #refusing: 'none' | 'writes' | 'all' = 'none';
  #idle: { what: 'writes' | 'all'; resolve: () => void }[] = [];

  constructor(options: CommandParts) {
    const { handlers, metrics } = options;
    this.#limits = options.limits;
    this.#rate = options.rate;
    this.#overload = options.overload;
    this.#unsent = options.unsent;
    this.#shares = options.shares;
    const { readsAtOncePerUser: placesPerUser, databaseReadWaitMs: waitMs } = options.limits;
    const waits = { waiting: 20_000, waitingPerUser: 8 * placesPerUser, waitMs };
    this.#reads = new FairTurns({ place: 'answers', places: Infinity, placesPerUser, ...waits, metrics });
    this.#outgoing = new Outgoing((connection) => this.#unsent.note(connection));
    this.#metrics = metrics;
    this.#log = options.log;
    this.#entries = new Map(
      (Object.keys(commands) as CommandName[]).map((name) => [
        name,
        {
          name,
          weight: commandWeights[name],
          reads: reading.has(name),
          large: reading.has(name) || listing.has(name),
          stores: storing.has(name),
          names: namedBy[name],
          input: commands[name].input,
          // name and input belong together: the schema that parses is the one that the handler's type came from
          handle: handlers[name] as AnyHandler,
          succeeded: metrics.commands.labels({ command: name, outcome: 'ok' }),
          ackSeconds: metrics.ackSeconds.labels({ command: name }),
        },
      ]),
    );
  }

  /** From now on these commands are answered `draining`; resolves when those that run have been answered. */
  async drain(what: 'writes' | 'all'): Promise<void> {
    this.#refusing = what;
    if (this.#running[what] > 0) await new Promise<void>((resolve) => this.#idle.push({ what, resolve }));
    this.#outgoing.flush();
  }

  /** @param asked whether it has been weighed against the server's load already. */
  run(connection: Connection, user: LocalUser, ack: string, [name, input]: EventArgs, asked: boolean): void {
    const from = performance.now();
    const entry = this.#entries.get(name);
    try {
      this.#admit(connection, user, from, entry, asked);
      if (entry === undefined)
        throw new ParleyError('unknown_command', `There is no command ${JSON.stringify(name.slice(0, 40))}.`);
      const data = parseInput(entry.input, input);
      if (entry.reads && connection.reading >= limits.pendingReads) {
        throw new ParleyError('overloaded', 'Wait for the pages that are on their way.', { retryAfter: 100 });
      }
      if (entry.large) this.#admitLarge(connection, user);
      const answer = entry.reads
        ? this.#reads.take(user.id, () => this.#read(connection, user, entry, data))
        : this.#handle(connection, user, entry, data);
      if (answer instanceof Promise) this.#later(connection, ack, entry, from, answer);
      else this.#succeed(connection, ack, entry, from, answer);
    } catch (error) {
      this.#fail(connection, ack, entry, error);
    }
  }

  /** @throws {ParleyError} if no large answer may be made for the user now. */
  #admitLarge(connection: Connection, user: LocalUser): void {
    this.#unsent.admit(connection, user);
    this.#shares.mayAnswer(user);
  }

  /** Its turn has come: what was sent to the user while it waited counts too. */
  #read(connection: Connection, user: LocalUser, entry: Entry, data: unknown): object | Promise<object> {
    if (connection.user !== user) throw new ParleyError('unavailable', 'The connection left before its turn came.');
    this.#admitLarge(connection, user);
    return this.#handle(connection, user, entry, data);
  }

  #handle(connection: Connection, user: LocalUser, entry: Entry, data: unknown): object | Promise<object> {
    if (connection.stale !== undefined && entry.names !== undefined) {
      refuseOldSeq(connection.stale, entry.names, data);
    }
    return entry.handle({ connection, user }, data);
  }

  #later(connection: Connection, ack: string, entry: Entry, from: number, answer: Promise<object>): void {
    connection.pending++;
    if (entry.reads) connection.reading++;
    this.#running.all++;
    if (entry.stores) this.#running.writes++;
    answer
      .then(
        (output) => this.#succeed(connection, ack, entry, from, output, true),
        (error: unknown) => this.#fail(connection, ack, entry, error, true),
      )
      .catch((error: unknown) => this.#fail(connection, ack, entry, error, true))
      .finally(() => {
        connection.pending--;
        if (entry.reads) connection.reading--;
        this.#running.all--;
        if (entry.stores) this.#running.writes--;
        if (this.#idle.length > 0) this.#tellIdle();
      });
  }

  #tellIdle(): void {
    this.#idle = this.#idle.filter(({ what, resolve }) => {
      if (this.#running[what] > 0) return true;
      resolve();
      return false;
    });
  }

  #succeed(connection: Connection, ack: string, entry: Entry, from: number, output: object, later = false): void {
    if (ack !== '') {
      const json = output instanceof Encoded ? output.json : JSON.stringify(output);
      if (entry.large && connection.user !== undefined) this.#shares.answered(connection.user, json.length);
      const ok = json === '{}' ? '{"ok":true}' : `{"ok":true,${json.slice(1)}`;
      this.#send(connection, encodeAck(connection.form, ack, ok), later);
    }
    entry.succeeded.inc();
    entry.ackSeconds.observe((performance.now() - from) / 1000);
  }

  /** In the handler's own turn uWS gathers what is sent by itself. */
  #send(connection: Connection, frames: Frames, later: boolean): void {
    if (later) this.#outgoing.send(connection, frames);
    else connection.sendFrames(frames);
  }

  #fail(connection: Connection, ack: string, entry: Entry | undefined, thrown: unknown, later = false): void {
    const cause = clientError(thrown);
    const command = entry?.name ?? 'unknown';
    let error = cause;
    if (!(error instanceof ParleyError)) {
      this.#metrics.internalErrors.inc({ where: 'command' });
      this.#log.error({ err: cause, command, session: connection.session }, 'a command failed');
      error = new ParleyError('internal');
    }
    const told = error as ParleyError;
    if (ack !== '') {
      const json = JSON.stringify({ ok: false, error: told.toWire() });
      this.#send(connection, encodeAck(connection.form, ack, json), later);
    }
    this.#metrics.commands.labels({ command, outcome: told.code }).inc();
  }

  /** @throws {ParleyError} if the connection or the server may not take another command now. */
  #admit(connection: Connection, user: LocalUser, now: number, entry: Entry | undefined, asked: boolean): void {
    if (this.#refusing !== 'none' && (this.#refusing === 'all' || entry?.stores === true)) {
      throw new ParleyError('draining', undefined, { retryAfter: 1000 });
    }
    // of text frames this was checked before they were decoded
    const debt = asked ? 0 : this.#shares.mayReceive(user);
    if (debt > 0) this.#rate.refused(connection);
    const wait = debt > 0 ? debt : this.#rate.take(connection, entry?.weight ?? 1, now);
    if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
    connection.refused = 0;
    if (connection.pending >= this.#limits.maxPendingCommands) {
      throw new ParleyError('overloaded', 'Too many commands of this connection wait for their answer.', {
        retryAfter: 100,
      });
    }
    if (!asked && !this.#overload.admit()) {
      throw new ParleyError('overloaded', undefined, { retryAfter: 500 + Math.floor(Math.random() * 1000) });
    }
  }
}

/** @throws {ParleyError} `invalid` */
function parseInput(schema: z.ZodType, input: unknown): unknown {
  let parsed;
  try {
    parsed = schema.safeParse(input);
  } catch (error) {
    // zod compares a `length` before it knows that it has a text: one that is no primitive throws in it
    throw new ParleyError('invalid', undefined, { cause: error });
  }
  if (!parsed.success) throw new ParleyError('invalid', issueText(parsed.error));
  return parsed.data;
}

/** The first fault, with where it is. */
function issueText(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'The input does not have the expected form.';
  const path = issue.path.map(String).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}
