/**
 * The writer: sends wait in stripes, a room always in the same one; each stripe commits what has gathered in one call of
 * `append_messages`. Measured on 2 shared cores: 845 messages/s one at a time, 17,900 in batches of 100. When more waits than
 * fits in a call, senders take turns, so one message of a user does not wait for all that another user has sent.
 *
 * Every outcome is safe to try again: the id of a message makes a second attempt a `duplicate` with the first seq. A
 * duplicate's event is handed to fan-out again, since the attempt that stored it may have died before it could; nodes
 * drop revs that they have delivered already.
 *
 * What a batch means for threads and mentions is noted in the same statement, by `note_sends`; batches without any pay
 * nothing for it.
 *
 * What changes messages (changes.ts) takes turns with a stripe's commits, so what one node publishes of a room is in the
 * order of its commits.
 */
import type { postgres } from '../../storage/sql.ts';
import type { Envelope, Fanout, RoomEvent } from '../../fanout/fanout.ts';
import { partOf } from '../../fanout/partition.ts';
import { ParleyError, type ErrorCode } from '../../protocol/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { limits } from '../../protocol/limits.ts';
import { Batcher, Places } from '../../storage/batcher.ts';
import type { Mentions } from '../bodies/mentions.ts';
import { commit } from './commit.ts';
import { OutboxCleanup } from './outbox-cleanup.ts';
import { mentionEvents } from '../mentions.ts';
import { messageJson } from '../message-json.ts';
import { mutedError } from '../../rooms/muted.ts';
import { Mutex } from './mutex.ts';

export interface Send {
  readonly room: string;
  readonly id: string;
  readonly sender: string;
  readonly senderName: string | null;
  /** JSON text from `encodeBody`. */
  readonly body: string;
  readonly replyTo: number | undefined;
  readonly lane: string | undefined;
  readonly mentions: Mentions | undefined;
}

export interface Sent {
  readonly seq: number;
  readonly rev: number;
  readonly at: number;
}

type Refused =
  | 'conflict'
  | 'not_found'
  | 'not_member'
  | 'forbidden'
  | 'no_reply_target'
  | 'archived'
  | 'muted'
  | 'admins_only'
  | 'slow';

interface Outcome {
  n: number;
  outcome: 'fresh' | 'duplicate' | Refused;
  seq: number;
  rev: number;
  /** Of `muted` and `slow`: until when; null: nobody knows. */
  sent_at: number;
  outbox_id: number | null;
  /** Of a duplicate that was edited, deleted or reacted to since. */
  changed?: boolean;
  /** Of a reply: from `thread_state`. */
  thread?: string | null;
  /** Of a message stored now: JSON text of those whom it mentions. */
  mentioned?: string | null;
}

export interface WriterOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly stripes: number;
  readonly maxBatch: number;
  /** The clock of Postgres. Default: that of this machine. */
  readonly now?: () => number;
  /** Over all stripes, and together with the changes and pins that take turns with them. */
  readonly maxWaiting: number;
  /** How long a commit is tried again before its sends fail with `unavailable`. */
  readonly retryMs?: number;
  /** How long nothing was committed when outbox rows are deleted by themselves. */
  readonly tidyMs?: number;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #stripes: Batcher<Send, Sent>[];
  /** One a stripe: what else changes a room takes its turn between two commits. */
  readonly mutexes: readonly Mutex[];
  /** One a stripe: whatever waits for its turn there waits in one of these. */
  readonly places: readonly Places[];
  readonly outboxCleanup: OutboxCleanup;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.outboxCleanup = new OutboxCleanup(options);
    const { stripes, maxWaiting, maxBatch } = options;
    const share = (n: number): number => Math.floor(maxWaiting / stripes) + (n < maxWaiting % stripes ? 1 : 0);
    this.mutexes = Array.from({ length: stripes }, () => new Mutex());
    this.places = this.mutexes.map((_, n) => new Places(Math.max(1, share(n))));
    this.#stripes = this.mutexes.map((mutexes, n) => {
      const settle = (sends: Send[], outcomes: Outcome[]): (Sent | Error)[] => this.#settle(sends, outcomes);
      const parts = { ...options, store: (sends: Send[]) => this.#store(sends), settle };
      const places = this.places[n] as Places;
      return new Batcher((sends) => mutexes.take(() => commit(sends, parts)), {
        maxBatch,
        maxWaiting: places,
        senderOf: ({ sender }) => sender,
      });
    });
  }

  /** Resolves after the commit. @throws {ParleyError} as `message:send` lists them. */
  send(send: Send): Promise<Sent> {
    return this.#stripe(send.room).add(send);
  }

  get waiting(): number {
    return this.#stripes.reduce((sum, stripe) => sum + stripe.waiting, 0);
  }

  /** Whether as many wait as may, in any stripe: a single busy room fills only its own. */
  get full(): boolean {
    return this.#stripes.some((stripe) => stripe.full);
  }

  isFull(room: string): boolean {
    return this.#stripe(room).full;
  }

  /** Which of the stripes is the room's. */
  stripeOf(room: string): number {
    return partOf(room, this.#stripes.length);
  }

  #stripe(room: string): Batcher<Send, Sent> {
    return this.#stripes[this.stripeOf(room)] as Batcher<Send, Sent>;
  }

  async flush(): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.flush()));
  }

  /** Resolves when all is committed and answered, and no outbox row is left for others to relay. */
  async stop(): Promise<void> {
    await this.flush();
    await this.outboxCleanup.stop();
  }

  /**
   * A batch may hold a message twice, when a client sends again before it was answered. The copies go in a second call,
   * which finds the first stored: so `append_messages` need not join its input with itself.
   */
  async #store(sends: Send[]): Promise<Outcome[]> {
    const seen = new Set<string>();
    const isCopy = sends.map(({ room, id }) => seen.size === seen.add(`${room}\n${id}`).size);
    if (seen.size === sends.length) return this.#markChanged(sends, await this.#append(sends));
    const distinct = sends.filter((_, i) => !isCopy[i]);
    const firsts = await this.#markChanged(distinct, await this.#append(distinct));
    const copies = await this.#store(sends.filter((_, i) => isCopy[i]));
    return isCopy.map((copy) => (copy ? copies.shift() : firsts.shift()) as Outcome);
  }

  /** A message that came again and has changed since is not what its sender says: that must not be told as its present state. */
  async #markChanged(sends: Send[], outcomes: Outcome[]): Promise<Outcome[]> {
    const duplicates = outcomes.flatMap(({ outcome }, i) => (outcome === 'duplicate' ? [sends[i] as Send] : []));
    if (duplicates.length === 0) return outcomes;
    const rooms = duplicates.map(({ room }) => room);
    const ids = duplicates.map(({ id }) => id);
    const changed = await this.#options.sql<{ room_id: string; id: string }[]>`
      select d.room as room_id, d.id from unnest(${rooms}::text[], ${ids}::uuid[]) as d (room, id)
      cross join lateral (
        select m.changed from messages m
        where m.room_id collate "POSIX" = d.room and m.id >= d.id and m.id <= d.id order by m.id limit 1
      ) m where m.changed`;
    if (changed.length === 0) return outcomes;
    const keys = new Set(changed.map(({ room_id: room, id }) => `${room}\n${id}`));
    return outcomes.map((outcome, i) => {
      const { room, id } = sends[i] as Send;
      return outcome.outcome === 'duplicate' && keys.has(`${room}\n${id}`) ? { ...outcome, changed: true } : outcome;
    });
  }

  #append(sends: Send[]): Promise<Outcome[]> {
    const { sql } = this.#options;
    const rooms = [...new Set(sends.map((send) => send.room))];
    const [batch, asked] = [batchJson(sends), askedJson(sends)];
    return this.outboxCleanup.deleting((outboxCleanup) =>
      asked === undefined
        ? sql<
            Outcome[]
          >`select * from append_messages(${rooms}::text[], ${batch}::text::jsonb, ${outboxCleanup}::bigint[])`
        : sql<Outcome[]>`
            with a as materialized (
              select * from append_messages(${rooms}::text[], ${batch}::text::jsonb, ${outboxCleanup}::bigint[])
            )
            select a.*, x.thread, x.mentioned from a
            left join note_sends(
              (select array_agg(case outcome when 'fresh' then seq when 'duplicate' then -seq else 0 end order by n) from a),
              ${asked}::text::jsonb, (select max(outbox_id) from a), ${limits.followedThreads}
            ) x on x.n = a.n
            order by a.n`,
    );
  }

  /** Hands the events to fan-out, in rev order, then gives each send its answer. */
  #settle(sends: Send[], outcomes: Outcome[]): (Sent | Error)[] {
    const { now = Date.now } = this.#options;
    const events: RoomEvent[] = [];
    const mentions: Envelope[] = [];
    const answers = outcomes.map(({ outcome, seq, rev, sent_at: at, changed, thread, mentioned }, i): Sent | Error => {
      const send = sends[i] as Send;
      if (outcome !== 'fresh' && outcome !== 'duplicate') return refusal(outcome, send, at, now());
      // of a message that changed since, later revs have been told: whoever missed this one syncs
      if (changed !== true) events.push(messageEvent(send, seq, rev, at, thread));
      if (typeof mentioned === 'string') {
        mentions.push(...mentionEvents({ room: send.room, seq, from: send.sender, at }, mentioned));
      }
      return { seq, rev, at };
    });
    // fresh ones are in rev order as they come; a duplicate may stand anywhere
    if (outcomes.some(({ outcome }) => outcome === 'duplicate')) events.sort((a, b) => (a.rev ?? 0) - (b.rev ?? 0));
    this.#options.fanout.publish(mentions.length === 0 ? events : [...events, ...mentions]);
    // one row a call, told with each of its outcomes
    this.outboxCleanup.add(new Set(outcomes.flatMap(({ outbox_id: outbox }) => outbox ?? [])));
    return answers;
  }
}

function messageEvent(send: Send, seq: number, rev: number, at: number, thread: string | null | undefined): RoomEvent {
  const json = messageJson({
    room: send.room,
    seq,
    rev,
    id: send.id,
    from: send.sender,
    name: send.senderName,
    body: send.body,
    reply_to: send.replyTo ?? null,
    at,
    thread: thread ?? null,
  });
  return { to: 'room', room: send.room, event: 'message', rev, json };
}

function refusal(outcome: Refused, send: Send, until: number | null, now: number): ParleyError {
  if (outcome === 'conflict') return new ParleyError('conflict', `Another message of this room has the id ${send.id}.`);
  if (outcome === 'no_reply_target')
    return new ParleyError('not_found', `replyTo: there is no message ${send.replyTo} yet.`);
  if (outcome === 'archived') return new ParleyError('forbidden', 'The room is archived.');
  if (outcome === 'muted') return mutedError(until);
  if (outcome === 'admins_only') return new ParleyError('forbidden', 'Only owners and admins may send here.');
  if (outcome === 'slow') {
    const retryAfter = Math.max(1, (until ?? 0) - now);
    return new ParleyError('rate_limited', 'The room is in slow mode.', { retryAfter });
  }
  const code: ErrorCode = outcome;
  return new ParleyError(code);
}

function batchJson(sends: Send[]): string {
  // room and user ids, UUIDs and lanes hold nothing that JSON would escape
  const rows = sends.map(({ room, id, sender, body, replyTo, lane }) => {
    const rest =
      replyTo === undefined && lane === undefined ? '' : `,${replyTo ?? null},${JSON.stringify(lane ?? null)}`;
    return `["${room}","${id}","${sender}",${body}${rest}]`;
  });
  return `[${rows.join(',')}]`;
}

/** What `note_sends` is asked; undefined: the batch holds no replies and mentions nobody, and is stored as ever. */
function askedJson(sends: Send[]): string | undefined {
  const rows = sends.flatMap(({ room, sender, replyTo, mentions }, i) => {
    if (replyTo === undefined && mentions === undefined) return [];
    const { names = [], everybody = false } = mentions ?? {};
    return JSON.stringify([i + 1, room, sender, names, everybody]);
  });
  return rows.length === 0 ? undefined : `[${rows.join(',')}]`;
}
