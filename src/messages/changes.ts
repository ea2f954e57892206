/**
 * Changes of stored messages: edits, deletions, reactions. They gather as sends do and are committed by `change_messages`, a
 * group at a time. A group takes turns with the sends of its stripe, so a node publishes a room's events in rev order. A
 * group is small, because the sends of the stripe wait for it.
 *
 * Each change is safe to retry: a change that took effect before is `unchanged`. After an attempt with an unknown result,
 * `unchanged` may mean that no node published the event. The row does not show which event that was, so the room gets
 * `behind`, and its clients sync.
 */
import type { postgres } from '../storage/sql.ts';
import type { Envelope, Fanout, RoomEvent } from '../fanout/fanout.ts';
import type { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Batcher, type Places } from '../storage/batcher.ts';
import type { Mentions } from './bodies/mentions.ts';
import { commitsOf, type CommitParts } from './writer/commit.ts';
import { mentionEvents } from './mentions.ts';
import { changesJson, messageJson } from './message-json.ts';
import { behindJson } from './behind.ts';
import { mutedError, refusalError } from '../rooms/refusals.ts';
import type { Writer } from './writer/writer.ts';

interface Target {
  readonly room: string;
  readonly seq: number;
  readonly user: string;
  /** The rev of the message on which an edit or a deletion depends. Undefined: the change depends on no rev. */
  readonly seenRev?: number | undefined;
}
export type Change = Target &
  (
    | {
        readonly kind: 'edit';
        /** JSON text from `encodeBody`. */
        readonly body: string;
        readonly mentions?: Mentions | undefined;
      }
    | { readonly kind: 'delete' }
    | { readonly kind: 'add' | 'remove'; readonly emoji: string }
  );

export interface Changed {
  /** The message's rev after this change; the rev from before where the change was made already. */
  readonly rev: number;
  readonly at: number;
  /** Users with the emoji now; 0 for edits and deletions. */
  readonly count: number;
}

type Refusal =
  'stale' | 'not_found' | 'not_member' | 'forbidden' | 'too_late' | 'limit_reached' | 'archived' | 'muted' | Slow;
/** With the milliseconds until the next edit. */
type Slow = `slow:${number}`;
const slow = 'slow:';
interface Outcome {
  /** Its place in the batch. */
  n: number;
  outcome: 'changed' | 'unchanged' | Refusal;
  rev: number;
  /** For `muted` the end of the mute; null: the mute has no end. */
  at: number;
  total: number | null;
  outbox_id: number | null;
  id: string;
  sender_id: string;
  name: string | null;
  reply_to: number | null;
  sent_at: number;
  edited_at: number;
  reactions: string | null;
  /** From `pin_state`, `thread_state`, and JSON text of the users whom only the new body mentions; all from `note_changes`. */
  pinned?: string | null;
  thread?: string | null;
  mentioned?: string | null;
}

export interface ChangesOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly writer: Pick<Writer, 'mutexes' | 'places' | 'outboxCleanup' | 'stripeOf'>;
  /** How long an author may edit; 0: without a limit. */
  readonly editWindowMs: number;
  readonly maxBatch?: number;
  /** The size of the bodies in one commit, in UTF-16 units. Default: unlimited. */
  readonly writerBatchBytes?: number;
  readonly retryMs?: number;
}

/** About 0.1 ms each: what a send may have to wait for. */
const groupSize = 100;

export class Changes {
  readonly #options: ChangesOptions;
  readonly #stripes: Batcher<Change, Changed>[];

  constructor(options: ChangesOptions) {
    this.#options = options;
    const { mutexes, places } = options.writer;
    const parts: CommitParts<Change, Outcome, Changed> = {
      ...options,
      outboxCleanup: options.writer.outboxCleanup,
      store: (sql, changes, outboxIds) => this.#store(sql, changes, outboxIds),
      settle: (changes, rows, again) => this.#settle(changes, rows, again),
    };
    this.#stripes = mutexes.map(
      (stripe, n) =>
        new Batcher(commitsOf(stripe, parts), {
          maxBatch: options.maxBatch ?? groupSize,
          maxWaiting: places[n] as Places,
          senderOf: ({ user }) => user,
          sizeOf: (change) => (change.kind === 'edit' ? change.body.length : 0),
          maxBatchSize: options.writerBatchBytes ?? Infinity,
        }),
    );
  }

  /** Resolves after the commit. @throws {ParleyError} as the commands list them. */
  make(change: Change): Promise<Changed> {
    return (this.#stripes[this.#options.writer.stripeOf(change.room)] as Batcher<Change, Changed>).add(change);
  }

  get waiting(): number {
    return this.#stripes.reduce((sum, stripe) => sum + stripe.waiting, 0);
  }

  async flush(): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.flush()));
  }

  #store(sql: postgres.Sql, changes: Change[], outboxIds: number[]): Promise<Outcome[]> {
    const { editWindowMs } = this.#options;
    const { rooms, json } = batchOf(changes);
    const notes = noteJson(changes);
    if (notes === undefined) {
      return sql<Outcome[]>`
        select * from change_messages(${rooms}::text[], ${json}::text::jsonb, ${outboxIds}::bigint[],
          ${editWindowMs}::bigint, ${limits.reactionKinds}, ${limits.messageVersions})`;
    }
    return sql<Outcome[]>`
      with c as materialized (
        select * from change_messages(${rooms}::text[], ${json}::text::jsonb, ${outboxIds}::bigint[],
          ${editWindowMs}::bigint, ${limits.reactionKinds}, ${limits.messageVersions})
      )
      select c.*, x.pinned, x.thread, x.mentioned from c
      left join note_changes(
        (select array_agg(case outcome when 'changed' then 1 else 0 end order by n) from c), ${notes}::text::jsonb
      ) x on x.n = c.n
      order by c.n`;
  }

  #settle(changes: Change[], rows: Outcome[], again: boolean): (Changed | Error)[] {
    const { fanout, writer } = this.#options;
    const events: Envelope[] = [];
    const mentions: Envelope[] = [];
    const answers: (Changed | Error)[] = [];
    const outbox = new Set<number>();
    // in rev order within each room, as they come
    for (const row of rows) {
      const change = changes[row.n] as Change;
      const { outcome, rev, at, total } = row;
      if (outcome !== 'changed' && outcome !== 'unchanged') {
        answers[row.n] = refusal(outcome, change, at);
        continue;
      }
      // after an attempt with an unknown result, the other rev may be that of this change
      if (outcome === 'unchanged' && isStale(change, rev) && !again) {
        answers[row.n] = refusalError('stale');
        continue;
      }
      answers[row.n] = { rev, at, count: total ?? 0 };
      if (row.outbox_id !== null) outbox.add(row.outbox_id);
      if (outcome === 'changed') events.push(eventOf(change, row));
      else if (again) events.push(behind(change.room, rev));
      if (typeof row.mentioned === 'string') {
        const { room, seq, user: from } = change;
        mentions.push(...mentionEvents({ room, seq, from, at }, row.mentioned));
      }
    }
    fanout.publish(mentions.length === 0 ? events : [...events, ...mentions]);
    writer.outboxCleanup.add(outbox);
    return answers;
  }
}

/** The input of `note_changes`; undefined: the batch has only reactions. */
function noteJson(changes: readonly Change[]): string | undefined {
  const rows = changes.flatMap((change, n) => {
    const { kind, room, seq, user } = change;
    if (kind !== 'edit' && kind !== 'delete') return [];
    const { names = [], everybody = false } = (kind === 'edit' ? change.mentions : undefined) ?? {};
    return JSON.stringify([n, kind, room, seq, user, names, everybody]);
  });
  return rows.length === 0 ? undefined : `[${rows.join(',')}]`;
}

/** Grouped by room, in their order there. Room and user ids and emoji hold nothing that JSON would escape. */
function batchOf(changes: readonly Change[]): { rooms: string[]; json: string } {
  const byRoom = new Map<string, string[]>();
  changes.forEach((change, n) => {
    const { room, kind, seq, user } = change;
    const value = kind === 'edit' ? change.body : kind === 'delete' ? 'null' : JSON.stringify(change.emoji);
    const row = `[${n},"${kind}",${seq},"${user}",${value}${change.seenRev === undefined ? '' : `,${change.seenRev}`}]`;
    const rows = byRoom.get(room);
    if (rows === undefined) byRoom.set(room, [row]);
    else rows.push(row);
  });
  const parts = [...byRoom].map(([room, rows]) => `["${room}",[${rows.join(',')}]]`);
  return { rooms: [...byRoom.keys()], json: `[${parts.join(',')}]` };
}

function eventOf(change: Change, row: Outcome): RoomEvent {
  const { room, seq, user } = change;
  const { rev, at } = row;
  if (change.kind === 'edit') {
    const { id, sender_id: from, name, reply_to, sent_at, edited_at, reactions, pinned = null, thread = null } = row;
    const { body } = change;
    const changes = changesJson({ editedAt: edited_at, reactions, pinned });
    const json = messageJson({ room, seq, rev, id, from, name, body, reply_to, at: sent_at, changes, thread });
    return { to: 'room', room, event: 'message:updated', rev, json };
  }
  if (change.kind === 'delete') {
    const data: EventData<'message:deleted'> = { room, seq, rev, id: row.id, by: user, at };
    const json = `${JSON.stringify(data).slice(0, -1)}${row.thread ?? ''}}`;
    return { to: 'room', room, event: 'message:deleted', rev, json };
  }
  const { kind, emoji } = change;
  const data: EventData<'reaction'> = { room, seq, rev, user, emoji, change: kind, count: row.total ?? 0 };
  return { to: 'room', room, event: 'reaction', rev, json: JSON.stringify(data) };
}

/** Makes the room's clients sync. The event has no rev, so no node drops it as a duplicate. */
export function behind(room: string, head: number): RoomEvent {
  return { to: 'room', room, event: 'behind', json: behindJson({ room, head }) };
}

function isStale({ seenRev }: Change, rev: number): boolean {
  return seenRev !== undefined && seenRev !== rev;
}

function isSlow(outcome: Refusal): outcome is Slow {
  return outcome.startsWith(slow);
}

function refusal(outcome: Refusal, change: Change, until: number | null): ParleyError {
  if (isSlow(outcome)) return refusalError('slow', undefined, { retryAfter: Number(outcome.slice(slow.length)) });
  if (outcome === 'muted') return mutedError(until);
  if (outcome === 'limit_reached') {
    return refusalError(outcome, `A message takes at most ${limits.reactionKinds} kinds of reactions.`);
  }
  if (outcome === 'not_found') {
    return refusalError(outcome, `There is no message ${change.seq}, or it was deleted, or you may not see it.`);
  }
  return refusalError(outcome);
}
