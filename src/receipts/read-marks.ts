/**
 * Read marks and delivered marks, coalesced. Many marks of one user in one room may come while a write is under way. Only
 * the furthest of them is written, and all of them get its answer.
 *
 * No client waits for delivered marks, nor for the read mark of a sender, which the message itself implies. These marks are
 * gathered for a while first. A process may lose some without harm: they come again with the next message.
 */
import type { postgres } from '../storage/sql.ts';
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Batcher } from '../storage/batcher.ts';

type Kind = 'read' | 'sent' | 'delivered';

interface Mark {
  readonly kind: Kind;
  readonly user: string;
  readonly room: string;
  readonly seq: number;
}

interface MarkRow {
  n: number;
  mark: number | null;
  moved: boolean;
  member_count?: number | null;
}

export interface ReadMarksOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  /** How long marks without a waiting client are gathered. */
  readonly gatherMs?: number;
  /** The most marks that are gathered at once; further marks are dropped. */
  readonly maxGathered?: number;
}

const atOnce = 1000;

export class ReadMarks {
  readonly #options: ReadMarksOptions;
  readonly #batcher: Batcher<Mark, { seq: number }>;
  #gathered = new Map<string, Mark>();
  #timer: NodeJS.Timeout | undefined = undefined;
  #writing: Promise<void> | undefined = undefined;

  constructor(options: ReadMarksOptions) {
    this.#options = options;
    this.#batcher = new Batcher((marks) => this.#write(marks), { maxBatch: atOnce, maxWaiting: 20_000 });
  }

  /** @throws {ParleyError} `not_found` for rooms that the user is not in. */
  set(user: string, room: string, seq: number): Promise<{ seq: number }> {
    return this.#batcher.add({ kind: 'read', user, room, seq });
  }

  /** The user sent a message: all earlier messages count as read, and the user's devices get the mark. */
  sent(user: string, room: string, seq: number): void {
    this.#gather({ kind: 'sent', user, room, seq });
  }

  delivered(user: string, room: string, seq: number): void {
    this.#gather({ kind: 'delivered', user, room, seq });
  }

  /** The database went back in time: marks that wait name messages of the old history. */
  forget(): void {
    this.#gathered.clear();
  }

  async flush(): Promise<void> {
    await this.#writing;
    await this.#writeGathered();
    await this.#batcher.flush();
  }

  #gather(mark: Mark): void {
    const { maxGathered = 50_000, gatherMs = 1000 } = this.#options;
    const key = keyOf(mark);
    const before = this.#gathered.get(key);
    if (before === undefined && this.#gathered.size >= maxGathered) return this.#options.metrics.marksDropped.inc();
    if ((before?.seq ?? 0) < mark.seq) this.#gathered.set(key, mark);
    // a bare timer: it runs only while marks wait, and `flush` writes after it
    this.#timer ??= setTimeout(() => {
      this.#writing = this.#writeGathered();
    }, gatherMs);
  }

  /** A part at a time, so that the marks of waiting clients always fit in the queue. */
  async #writeGathered(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const marks = [...this.#gathered.values()];
    this.#gathered.clear();
    for (let at = 0; at < marks.length; at += atOnce) await this.#writePart(marks.slice(at, at + atOnce));
  }

  async #writePart(marks: readonly Mark[]): Promise<void> {
    const results = await Promise.allSettled(marks.map((mark) => this.#batcher.add(mark)));
    const failed = results.find(
      (result): result is PromiseRejectedResult =>
        result.status === 'rejected' && !(result.reason instanceof ParleyError && result.reason.code === 'not_found'),
    );
    if (failed === undefined) return;
    this.#options.metrics.marksDropped.inc(marks.length);
    this.#options.log.debug(
      { err: failed.reason as unknown },
      'Could not write read and delivered marks; they come again with the next message.',
    );
  }

  async #write(marks: Mark[]): Promise<({ seq: number } | Error)[]> {
    const furthest = new Map<string, Mark>();
    for (const mark of marks) {
      const key = keyOf(mark);
      if ((furthest.get(key)?.seq ?? -1) < mark.seq) furthest.set(key, mark);
    }
    const answers = new Map<string, { seq: number } | Error>();
    const events: Envelope[] = [];
    const delivered = [...furthest.values()].filter(({ kind }) => kind === 'delivered');
    // one mark a row: the further one of read and sent
    const read = furthestOfEach([...furthest.values()].filter(({ kind }) => kind !== 'delivered'));
    if (read.length > 0) await this.#writeRead(read, answers, events);
    if (delivered.length > 0) await this.#writeDelivered(delivered, answers, events);
    this.#options.fanout.publish(events);
    return marks.map((mark) => answers.get(placeOf(mark)) ?? new ParleyError('internal'));
  }

  async #writeRead(marks: Mark[], answers: Map<string, { seq: number } | Error>, events: Envelope[]): Promise<void> {
    const rows = await this.#options.sql<MarkRow[]>`select * from mark_read(${batchOf(marks)}::text::json)`;
    rows.forEach(({ mark: seq, moved, member_count: members }, i) => {
      const mark = marks[i] as Mark;
      answers.set(placeOf(mark), seq === null ? new ParleyError('not_found') : { seq });
      if (seq === null || !moved) return;
      const { kind, room, user } = mark;
      const json = JSON.stringify({ room, user, seq });
      // a message itself implies that its sender has read up to it
      const everybody = kind === 'read' && (members ?? 0) <= limits.readReceiptMembers;
      events.push(
        everybody ? { to: 'room', room, event: 'read', json } : { to: 'user', user, event: 'read', json, about: room },
      );
    });
  }

  async #writeDelivered(
    marks: Mark[],
    answers: Map<string, { seq: number } | Error>,
    events: Envelope[],
  ): Promise<void> {
    const rows = await this.#options.sql<MarkRow[]>`
      select * from mark_delivered(${batchOf(marks)}::text::json, ${limits.readReceiptMembers})`;
    rows.forEach(({ mark: seq, moved }, i) => {
      const mark = marks[i] as Mark;
      answers.set(placeOf(mark), { seq: seq ?? 0 });
      if (seq === null || !moved) return;
      const { room, user } = mark;
      events.push({ to: 'room', room, event: 'delivered', json: JSON.stringify({ room, user, seq }) });
    });
  }
}

function furthestOfEach(marks: readonly Mark[]): Mark[] {
  const furthest = new Map<string, Mark>();
  for (const mark of marks) {
    const before = furthest.get(placeOf(mark));
    // of two marks with the same seq, the one that is published to the room
    if (before === undefined || mark.seq > before.seq || (mark.seq === before.seq && mark.kind === 'read')) {
      furthest.set(placeOf(mark), mark);
    }
  }
  return [...furthest.values()];
}

function batchOf(marks: readonly Mark[]): string {
  return JSON.stringify(marks.map(({ room, user, seq }) => ({ r: room, u: user, s: seq })));
}

function keyOf({ kind, room, user }: Mark): string {
  return `${kind}\n${room}\n${user}`;
}

/** The row of the mark, and which mark of the row. */
function placeOf({ kind, room, user }: Mark): string {
  return `${kind === 'delivered' ? 'delivered' : 'read'}\n${room}\n${user}`;
}
