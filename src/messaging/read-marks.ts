/**
 * Read marks, coalesced: of many marks of one user in one room that come while a write is under way only the furthest is
 * written, and all of them get its answer.
 */
import type postgres from 'postgres';
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { Batcher } from './batcher.ts';

interface Mark {
  readonly user: string;
  readonly room: string;
  readonly seq: number;
}

interface MarkRow {
  n: number;
  mark: number | null;
  moved: boolean;
  member_count: number | null;
}

export class ReadMarks {
  readonly #sql: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #batcher: Batcher<Mark, { seq: number }>;

  constructor(sql: postgres.Sql, fanout: Fanout) {
    this.#sql = sql;
    this.#fanout = fanout;
    this.#batcher = new Batcher((marks) => this.#write(marks), { maxBatch: 1000, maxWaiting: 20_000 });
  }

  /** @throws {ParleyError} `not_found` for rooms that the user is not in. */
  set(user: string, room: string, seq: number): Promise<{ seq: number }> {
    return this.#batcher.add({ user, room, seq });
  }

  flush(): Promise<void> {
    return this.#batcher.flush();
  }

  async #write(marks: Mark[]): Promise<({ seq: number } | Error)[]> {
    const furthest = new Map<string, Mark>();
    for (const mark of marks) {
      const key = keyOf(mark);
      if ((furthest.get(key)?.seq ?? -1) < mark.seq) furthest.set(key, mark);
    }
    const distinct = [...furthest.values()];
    const batch = JSON.stringify(distinct.map(({ room, user, seq }) => ({ r: room, u: user, s: seq })));
    const rows = await this.#sql<MarkRow[]>`select * from mark_read(${batch}::text::json)`;
    const answers = new Map<string, { seq: number } | Error>();
    const told: Envelope[] = [];
    rows.forEach(({ mark: seq, moved, member_count: members }, i) => {
      const mark = distinct[i] as Mark;
      answers.set(keyOf(mark), seq === null ? new ParleyError('not_found') : { seq });
      if (seq === null || !moved) return;
      const json = JSON.stringify({ room: mark.room, user: mark.user, seq });
      told.push(
        (members ?? 0) <= limits.readReceiptMembers
          ? { to: 'room', room: mark.room, event: 'read', json }
          : { to: 'user', user: mark.user, event: 'read', json },
      );
    });
    this.#fanout.publish(told);
    return marks.map((mark) => answers.get(keyOf(mark)) ?? new ParleyError('internal'));
  }
}

function keyOf({ room, user }: Mark): string {
  return `${room}\n${user}`;
}
