/**
 * Pins. They are rare, so each pin is a separate call. A pin takes its turn in the room's stripe, is safe to retry, and
 * causes `behind` as the other changes of messages do (changes.ts).
 */
import type { postgres } from '../storage/sql.ts';
import type { RoomEvent } from '../fanout/fanout.ts';
import type { CommandOutput } from '../protocol/commands.ts';
import type { EventData } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import { Batcher, type Places } from '../storage/batcher.ts';
import { behind, type ChangesOptions } from './changes.ts';
import { commitsOf, type CommitParts } from './writer/commit.ts';
import { messageColumns } from './message-columns.ts';
import { messageJson, type StoredMessage } from './message-json.ts';
import { rightsOf } from '../protocol/permissions.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';
import { refusalError } from '../rooms/refusals.ts';

export interface Pin {
  readonly room: string;
  readonly seq: number;
  readonly user: string;
  readonly change: 'add' | 'remove';
}

type Pinned = CommandOutput<'message:pin'>;

interface Outcome {
  outcome:
    'changed' | 'unchanged' | 'not_found' | 'not_member' | 'forbidden' | 'archived' | 'actor_muted' | 'limit_reached';
  rev: number;
  at: number;
  outbox_id: number | null;
}

export type PinsOptions = Omit<ChangesOptions, 'editWindowMs' | 'maxBatch'>;

export class Pins {
  readonly #options: PinsOptions;
  readonly #stripes: Batcher<Pin, Pinned>[];

  constructor(options: PinsOptions) {
    this.#options = options;
    const { mutexes, places } = options.writer;
    const parts: CommitParts<Pin, Outcome, Pinned> = {
      ...options,
      outboxCleanup: options.writer.outboxCleanup,
      store: storePin,
      settle: (pins, rows, again) => [this.#settle(pins[0] as Pin, rows[0] as Outcome, again)],
    };
    this.#stripes = mutexes.map(
      (stripe, n) =>
        new Batcher(commitsOf(stripe, parts), {
          maxBatch: 1,
          maxWaiting: places[n] as Places,
          senderOf: ({ user }) => user,
        }),
    );
  }

  /** Resolves after the commit. @throws {ParleyError} as the commands list them. */
  make(pin: Pin): Promise<Pinned> {
    return (this.#stripes[this.#options.writer.stripeOf(pin.room)] as Batcher<Pin, Pinned>).add(pin);
  }

  get waiting(): number {
    return this.#stripes.reduce((sum, stripe) => sum + stripe.waiting, 0);
  }

  async flush(): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.flush()));
  }

  #settle({ room, seq, user, change }: Pin, row: Outcome, again: boolean): Pinned | Error {
    const { fanout, writer } = this.#options;
    const { outcome, rev, at } = row;
    if (outcome === 'limit_reached') return refusalError(outcome, `A room has at most ${limits.pins} pinned messages.`);
    if (outcome !== 'changed' && outcome !== 'unchanged') return refusalError(outcome);
    if (outcome === 'changed') {
      const data: EventData<'pin'> = { room, seq, rev, user, change, at };
      const event: RoomEvent = { to: 'room', room, event: 'pin', rev, json: JSON.stringify(data) };
      fanout.publish([event]);
      if (row.outbox_id !== null) writer.outboxCleanup.add([row.outbox_id]);
    } else if (again) fanout.publish([behind(room, rev)]);
    return { rev };
  }
}

/** A pin is a batch of its own. */
function storePin(sql: postgres.Sql, pins: Pin[], outboxIds: number[]): Promise<Outcome[]> {
  const { room, seq, user, change } = pins[0] as Pin;
  return sql<Outcome[]>`
    select outcome, rev, at, outbox_id
    from pin_message(${room}, ${seq}, ${user}, ${change === 'add'}, ${limits.pins}, ${outboxIds}::bigint[],
      ${rightsOf('pin')}::text::jsonb)`;
}

type Row = Access & { readonly last_rev: number } & {
  [K in keyof StoredMessage]: StoredMessage[K] | null;
};

/** A room's pinned messages as the JSON text of the output of `room:pins`; from one snapshot. */
export async function pinned(sql: postgres.Sql, user: string, room: string): Promise<string> {
  const rows = await sql<Row[]>`
    select a.kind, a.role, a.last_rev, x.*
    from (
      select r.kind, r.last_rev, r.first_seq, m.role from ${roomAccess(sql, user, room)}
    ) a
    left join lateral (
      select ${messageColumns(sql, user)}, u.name, t.pinned_at
      from messages t left join users u on u.id = t.sender_id
      where a.role is not null and t.room_id = ${room} and t.pinned_at is not null
      order by t.pinned_at limit ${limits.pins}
    ) x on x.seq >= a.first_seq -- not within: the primary key would be an index for it, and that of pins is the one
    order by x.pinned_at desc, x.seq desc`;
  const [first] = rows;
  requireMember(first);
  const found = rows.filter((row) => row.seq !== null) as unknown as StoredMessage[];
  return `{"messages":[${found.map(messageJson).join(',')}],"rev":${first.last_rev}}`;
}
