/**
 * The rows of deliveries. A delivery is
 *
 * waiting ── `claim` ──▶ sending ── `arrived` ──▶ delivered
 *    ▲                     │ `failed`
 *    └── attempts left ────┴── none left, or the webhook is disabled ──▶ dead ── a replay ──▶ waiting
 *
 * `claim` counts the attempt and commits before the call goes out. A worker that dies leaves `sending`; after `leaseMs` another
 * worker claims the delivery, and the receiver gets the same `webhook-id` again. `replays` and `attempts` are the number of the attempt: an
 * attempt that ends late changes nothing when a later one has begun.
 */
import type { DisabledReason, WebhookFormat } from '../../protocol/webhooks.ts';
import type { postgres } from '../../storage/sql.ts';

export interface Claimed {
  readonly id: string;
  readonly webhook: string;
  readonly attempts: number;
  readonly replays: number;
  readonly body: string;
  readonly url: string;
  readonly format: WebhookFormat;
  readonly ordered: boolean;
  readonly secret: Buffer;
  /** Null: it does not sign any more. */
  readonly previous_secret: Buffer | null;
}

export interface Failure {
  readonly status: number | undefined;
  readonly error: string;
  /** The pause before the next attempt; undefined: there is none. */
  readonly retryMs: number | undefined;
}

/** The order of a webhook holds a delivery back while an earlier one of its room is open. */
export function isBehind(sql: postgres.ISql): postgres.PendingQuery<postgres.Row[]> {
  return sql`w.ordered and d.room is not null and exists (
    select from webhook_deliveries e
    where e.webhook = d.webhook and e.room = d.room and e.state in ('waiting', 'sending') and e.n < d.n)`;
}

export class Deliveries {
  readonly #sql: postgres.Sql;
  readonly #leaseMs: number;

  /** @param leaseMs longer than any call */
  constructor(sql: postgres.Sql, leaseMs: number) {
    this.#sql = sql;
    this.#leaseMs = leaseMs;
  }

  /** @returns the webhook of a delivery that has not ended */
  async webhookOf(id: string): Promise<string | undefined> {
    const [row] = await this.#sql<{ webhook: string }[]>`
      select webhook from webhook_deliveries where id = ${id}::uuid and state in ('waiting', 'sending')`;
    return row?.webhook;
  }

  /** @returns undefined: the delivery is not to be sent now; `unclaimed` says why */
  async claim(id: string): Promise<Claimed | undefined> {
    const [row] = await this.#sql<Claimed[]>`
      update webhook_deliveries d set state = 'sending', attempts = d.attempts + 1,
        due_at = clock_timestamp() + ${this.#leaseMs} * interval '1 ms'
      from webhooks w
      where d.id = ${id}::uuid and w.id = d.webhook and w.state = 'active'
        and (d.state = 'waiting' or d.state = 'sending' and d.due_at <= clock_timestamp())
        and not (${isBehind(this.#sql)})
      returning d.id, d.webhook, d.attempts, d.replays, d.body, w.url, w.format, w.ordered, w.secret,
        case when w.previous_until > clock_timestamp() then w.previous_secret end as previous_secret`;
    return row;
  }

  /** @returns the milliseconds until another worker has certainly ended its attempt; undefined: nothing is to be done */
  async unclaimed(id: string): Promise<number | undefined> {
    const [row] = await this.#sql<{ state: string; webhook: string; active: boolean; left: number }[]>`
      select d.state, d.webhook, w.state = 'active' as active,
        ceil(extract(epoch from d.due_at - clock_timestamp()) * 1000)::int8 as left
      from webhook_deliveries d join webhooks w on w.id = d.webhook where d.id = ${id}::uuid`;
    if (row === undefined) return undefined;
    if (!row.active) await endAll(this.#sql, row.webhook);
    return row.active && row.state === 'sending' ? Math.max(0, row.left) : undefined;
  }

  /** @returns the next delivery of the room, which was held back until now */
  async arrived({ id, webhook, attempts, replays }: Claimed, status: number): Promise<string | undefined> {
    const [row] = await this.#sql<{ next: string | null }[]>`
      with ended as (
        update webhook_deliveries set state = 'delivered', last_status = ${status}, last_error = null, ended_at = clock_timestamp()
        where id = ${id}::uuid and replays = ${replays} and attempts = ${attempts} and state = 'sending' returning webhook, room, n
      ), recovered as (
        update webhooks set failing_since = null where id = ${webhook}::uuid and failing_since is not null
      )
      select ${nextOf(this.#sql)} as next from ended d`;
    return row?.next ?? undefined;
  }

  /** @returns the next delivery of the room, if this one is dead; and since when nothing has arrived, for the webhook */
  async failed(
    { id, webhook, attempts, replays }: Claimed,
    { status, error, retryMs }: Failure,
  ): Promise<{ readonly next: string | undefined; readonly failingMs: number }> {
    const isDead = retryMs === undefined;
    const [row] = await this.#sql<{ next: string | null; failing_ms: number }[]>`
      with ended as (
        update webhook_deliveries set state = ${isDead ? 'dead' : 'waiting'}, last_status = ${status ?? null}, last_error = ${error},
          due_at = clock_timestamp() + ${retryMs ?? 0} * interval '1 ms',
          ended_at = case when ${isDead} then clock_timestamp() end
        where id = ${id}::uuid and replays = ${replays} and attempts = ${attempts} and state = 'sending' returning webhook, room, n
      ), failing as (
        update webhooks set failing_since = clock_timestamp() where id = ${webhook}::uuid and failing_since is null
      )
      select case when ${isDead} then ${nextOf(this.#sql)} end as next,
        coalesce(floor(extract(epoch from clock_timestamp() - w.failing_since) * 1000), 0)::int8 as failing_ms
      from webhooks w left join ended d on true where w.id = ${webhook}::uuid`;
    return { next: row?.next ?? undefined, failingMs: row?.failing_ms ?? 0 };
  }

  /**
   * The receiver wants no further event. One transaction, so that no worker finds the next delivery of the room between the end
   * of this one and that of the webhook. @returns whether this call has disabled the webhook
   */
  gone({ id, webhook, attempts, replays }: Claimed, error: string): Promise<boolean> {
    return this.#sql.begin(async (tx) => {
      // the webhook first, as everywhere
      await tx`select from webhooks where id = ${webhook}::uuid for no key update`;
      await tx`
        update webhook_deliveries set state = 'dead', last_status = 410, last_error = ${error}, ended_at = clock_timestamp()
        where id = ${id}::uuid and replays = ${replays} and attempts = ${attempts} and state = 'sending'`;
      return disableWebhook(tx, webhook, 'gone');
    });
  }

  /** The call was not made, or was broken off by the stop of this process. */
  async release({ id, attempts, replays }: Claimed): Promise<void> {
    await this.#sql`
      update webhook_deliveries set state = 'waiting', due_at = clock_timestamp(), last_error = 'The node stopped during the attempt.'
      where id = ${id}::uuid and replays = ${replays} and attempts = ${attempts} and state = 'sending'`;
  }
}

function nextOf(sql: postgres.Sql): postgres.PendingQuery<postgres.Row[]> {
  return sql`(
    select e.id from webhook_deliveries e
    where e.webhook = d.webhook and e.room = d.room and e.state in ('waiting', 'sending') and e.n > d.n
    order by e.n limit 1)`;
}

/** Ends every open delivery of a webhook that is disabled. */
export async function endAll(sql: postgres.ISql, webhook: string): Promise<void> {
  await sql`
    update webhook_deliveries set state = 'dead', ended_at = clock_timestamp(), last_error = 'The webhook is disabled.'
    where webhook = ${webhook}::uuid and state in ('waiting', 'sending')`;
}

/** @returns whether this call has disabled it */
export async function disableWebhook(sql: postgres.ISql, webhook: string, reason: DisabledReason): Promise<boolean> {
  const rows = await sql`
    update webhooks set state = 'disabled', reason = ${reason}, disabled_at = clock_timestamp()
    where id = ${webhook}::uuid and state = 'active' returning id`;
  if (rows.length > 0) await endAll(sql, webhook);
  return rows.length > 0;
}
