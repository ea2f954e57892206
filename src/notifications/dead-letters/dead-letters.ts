/**
 * Dead letters: notifications and deliveries of webhooks that ended without an arrival. A replay decides again about each
 * notification, with the facts of this moment. So a message that is read meanwhile reaches no device.
 */
import type { z } from 'zod';
import { deadLetterLimits, type DeadLetterChoice, type DeadLetterFilter } from '../../protocol/dead-letters.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { NotificationReason } from '../../protocol/notifications.ts';
import type { deadLetterRoutes } from '../../protocol/routes/dead-letters.ts';
import type { Activity } from '../../presence/activity.ts';
import { clientError } from '../../storage/failure.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import { factsOf } from '../candidates.ts';
import { decide } from '../decide.ts';
import type { LaneJob } from '../lanes/lanes.ts';
import { stateOf, type LedgerRow } from '../ledger-rows.ts';
import { pushFacts, pushRows, type PushRow } from '../push/push-rows.ts';
import { jobOf as jobOfRow } from '../waiting-jobs.ts';
import { jobOf as jobOfDelivery } from '../webhooks/delivery-job.ts';
import { deadCursor } from './dead-cursor.ts';
import { deadDeliveries, deadNotifications, listDead } from './dead-rows.ts';

type Output<R extends keyof typeof deadLetterRoutes> = z.output<(typeof deadLetterRoutes)[R]['output']>;
export type DeadPage = Output<'dead:list'>;
export type Replayed = Output<'dead:replay'>;
export type Dropped = Output<'dead:drop'>;

export interface DeadLetterParts {
  readonly sql: postgres.Sql;
  readonly activity: Pick<Activity, 'of'>;
  /** Undefined: a process without the queues. Its replays get their jobs from the sweeps of the servers, within 30 s. */
  readonly addJobs: ((jobs: readonly LaneJob[]) => Promise<void>) | undefined;
  /** A push is of no use after this time since its message. */
  readonly pushTtlMs: number;
  readonly now: () => number;
  /** Undefined: the caller prints what it did. */
  readonly log: Log | undefined;
}

interface Tally {
  replayed: number;
  exhausted: number;
  disabled: number;
  readonly dropped: Partial<Record<NotificationReason, number>>;
  readonly jobs: LaneJob[];
}

export class DeadLetters {
  readonly #parts: DeadLetterParts;

  constructor(parts: DeadLetterParts) {
    this.#parts = parts;
  }

  /** @throws {ParleyError} `invalid` for a cursor of something else */
  async list(
    filter: DeadLetterFilter & { readonly before?: string | undefined; readonly limit: number },
  ): Promise<DeadPage> {
    const { limit, before } = filter;
    const place = before === undefined ? undefined : deadCursor.decode(before);
    const rows = await explained(listDead(this.#parts.sql, filter, place, limit + 1));
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      deadLetters: page.map(({ letter }) => letter),
      before: last === undefined ? null : deadCursor.encode(last),
      more: rows.length > limit,
    };
  }

  /**
   * @param who the caller, for the log
   * @throws {ParleyError} `limit_reached`: `ids` names dead letters that were all replayed as often as possible
   */
  async replay(choice: DeadLetterChoice & { readonly dryRun: boolean }, who: string): Promise<Replayed> {
    const { log, addJobs } = this.#parts;
    const tally: Tally = { replayed: 0, exhausted: 0, disabled: 0, dropped: {}, jobs: [] };
    const notifications = await explained(deadNotifications(this.#parts.sql, choice, deadLetterLimits.atOnce + 1));
    const some = notifications.slice(0, deadLetterLimits.atOnce);
    const left = deadLetterLimits.atOnce - some.length;
    const deliveries = await explained(deadDeliveries(this.#parts.sql, choice, left + 1));
    const more = notifications.length > some.length || deliveries.length > left;
    await this.#replayNotifications(some, choice.dryRun, tally);
    await this.#replayDeliveries(
      deliveries.slice(0, left).filter((one) => counts(one, tally)),
      choice.dryRun,
      tally,
    );
    const { replayed, exhausted, disabled, dropped, jobs } = tally;
    const touched = replayed + Object.keys(dropped).length;
    if (choice.ids !== undefined && exhausted > 0 && touched === 0)
      throw new ParleyError('limit_reached', `The dead letters have been replayed ${deadLetterLimits.replays} times.`);
    if (!choice.dryRun) {
      if (jobs.length > 0) await addJobs?.(jobs);
      log?.info({ who, replayed, exhausted, disabled, dropped, choice }, 'Replayed dead letters.');
    }
    // those that stay dead would come again
    return { replayed, dropped, exhausted, disabled, more: more && touched > 0 };
  }

  async drop(choice: DeadLetterChoice, who: string): Promise<Dropped> {
    const { sql, log } = this.#parts;
    const most = deadLetterLimits.atOnce;
    const notifications = await explained(deadNotifications(sql, choice, most + 1));
    const some = notifications.slice(0, most);
    const left = most - some.length;
    const deliveries = await explained(deadDeliveries(sql, choice, left + 1));
    const ids = deliveries.slice(0, left).map(({ id }) => id);
    const keys = JSON.stringify(some.map(({ id, at }) => [id, at]));
    const [row] = await explained(
      sql<{ dropped: number }[]>`
        with n as (
          update notifications n set state = 'dropped', reason = 'expired', updated_at = clock_timestamp()
          from jsonb_array_elements(${keys}::text::jsonb) as k (v)
          where n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0) and n.state = 'dead'
          returning 1
        ), d as (
          delete from webhook_deliveries where id = any (${ids}::uuid[]) and state = 'dead' returning 1
        )
        select ((select count(*) from n) + (select count(*) from d))::int as dropped`,
    );
    const dropped = row?.dropped ?? 0;
    log?.info({ who, dropped, choice }, 'Dropped dead letters.');
    return { dropped, more: notifications.length > some.length || deliveries.length > left };
  }

  async #replayNotifications(
    keys: readonly { readonly id: string; readonly at: number }[],
    dryRun: boolean,
    tally: Tally,
  ): Promise<void> {
    if (keys.length === 0) return;
    const { sql, activity, now: clock } = this.#parts;
    const rows = await explained(
      pushRows(
        sql,
        keys.map(({ id, at }) => ({ id, data: { at } })),
        sql`n.state = 'dead'`,
      ),
    );
    const active = await activity.of([...new Set(rows.map(({ user_id: user }) => user))]);
    const now = clock();
    const decided = rows
      .filter((row) => counts({ ...row, active: true }, tally))
      .map((row) => this.#decided(row, active, now));
    const changed = dryRun ? undefined : await this.#store(decided);
    for (const row of decided) {
      if (changed?.has(row.id) === false) continue;
      if (row.state !== 'waiting' && row.reason !== null)
        tally.dropped[row.reason] = (tally.dropped[row.reason] ?? 0) + 1;
      else {
        tally.replayed++;
        tally.jobs.push(jobOfRow(row));
      }
    }
  }

  #decided(row: PushRow, active: ReadonlyMap<string, ReadonlySet<string>>, now: number): LedgerRow {
    const { id, at, room_id: room, seq, user_id: user, kind, lane, device } = row;
    const rooms = active.get(user);
    const facts = factsOf(row, lane, rooms === undefined ? undefined : rooms.has(room) ? 'room' : 'elsewhere', {
      channel: 'push',
      devices: row.device_kind === null ? 0 : 1,
      ...pushFacts(row, this.#parts.pushTtlMs),
    });
    return {
      id,
      at,
      room,
      seq,
      user,
      channel: 'push',
      device,
      kind,
      lane,
      ...stateOf(decide(facts, now), now, 'waiting'),
    };
  }

  /** @returns the ids of the rows that were still dead */
  async #store(rows: readonly LedgerRow[]): Promise<ReadonlySet<string>> {
    const json = JSON.stringify(rows.map(({ id, at, state, reason, due }) => [id, at, state, reason, due]));
    const stored = await explained(
      this.#parts.sql<{ id: string }[]>`
        update notifications n set state = k.v ->> 2, reason = k.v ->> 3, due_at = to_timestamp((k.v ->> 4)::bigint / 1000.0),
          replays = n.replays + 1, replayed_at = clock_timestamp(), queued_at = null, updated_at = clock_timestamp()
        from jsonb_array_elements(${json}::text::jsonb) as k (v)
        where n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0) and n.state = 'dead'
        returning n.id`,
    );
    return new Set(stored.map(({ id }) => id));
  }

  async #replayDeliveries(rows: readonly { readonly id: string }[], dryRun: boolean, tally: Tally): Promise<void> {
    const ids = rows.map(({ id }) => id);
    if (dryRun || ids.length === 0) {
      tally.replayed += ids.length;
      return;
    }
    // the places of an ordered webhook: in the order in which the deliveries were made
    const replayed = await explained(
      this.#parts.sql<{ id: string; replays: number }[]>`
        update webhook_deliveries d set state = 'waiting', attempts = 0, replays = d.replays + 1, n = default,
          due_at = clock_timestamp(), ended_at = null, last_status = null, last_error = null
        from (select id from webhook_deliveries where id = any (${ids}::uuid[]) and state = 'dead' order by n for update) o
        where d.id = o.id
        returning d.id, d.replays`,
    );
    tally.replayed += replayed.length;
    tally.jobs.push(...replayed.map(({ id, replays }) => jobOfDelivery(id, `_replay${replays}`)));
  }
}

/** Whether a dead letter may be replayed; else the tally has the reason. */
function counts({ replays, active }: { readonly replays: number; readonly active: boolean }, tally: Tally): boolean {
  if (replays >= deadLetterLimits.replays) tally.exhausted++;
  else if (!active) tally.disabled++;
  else return true;
  return false;
}

/** Rejects with the error for a client. */
async function explained<T>(work: PromiseLike<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw clientError(error);
  }
}
