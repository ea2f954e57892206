/** The table of webhooks and the list of their deliveries, for REST. Inputs have passed the schemas of protocol/webhooks.ts. */
import { randomUUID } from 'node:crypto';
import { ParleyError } from '../../protocol/errors.ts';
import {
  webhookLimits,
  type DeliveryState,
  type DeliveryView,
  type DisabledReason,
  type WebhookCreateInput,
  type WebhookEvent,
  type WebhookFormat,
  type WebhookRotateInput,
  type WebhookUpdateInput,
  type WebhookView,
  type WebhookWithSecret,
} from '../../protocol/webhooks.ts';
import { clientError } from '../../storage/failure.ts';
import type { postgres } from '../../storage/sql.ts';
import type { LaneJob } from '../lanes/lanes.ts';
import { OutgoingRefused, type Outgoing } from '../outgoing.ts';
import { endAll } from './deliveries.ts';
import { jobOf } from './delivery-job.ts';
import { bodyOf } from './room-event.ts';
import { newSecret, secretText } from './signing.ts';

export interface WebhookSettings {
  /** The most webhooks. */
  readonly maxWebhooks: number;
  /** How long the former secret signs too after a rotation. */
  readonly overlapMs: number;
}

export interface StoredWebhooksParts {
  readonly sql: postgres.Sql;
  readonly settings: WebhookSettings;
  readonly outgoing: Pick<Outgoing, 'check'>;
  readonly addJobs: (jobs: readonly LaneJob[]) => Promise<void>;
}

interface WebhookRow {
  readonly id: string;
  readonly url: string;
  readonly events: WebhookEvent[];
  readonly rooms: string[];
  readonly format: WebhookFormat;
  readonly ordered: boolean;
  readonly state: 'active' | 'disabled';
  readonly reason: DisabledReason | null;
  readonly failing_since: number | null;
  readonly disabled_at: number | null;
  readonly created_at: number;
  readonly rotated_at: number | null;
  readonly previous_until: number | null;
}

interface DeliveryRow {
  readonly id: string;
  readonly n: number;
  readonly event: DeliveryView['event'];
  readonly room: string | null;
  readonly rev: number | null;
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly replays: number;
  readonly last_status: number | null;
  readonly last_error: string | null;
  readonly created_at: number;
  readonly due_at: number;
  readonly ended_at: number | null;
}

export interface DeliveryPage {
  readonly deliveries: DeliveryView[];
  readonly next: number | null;
  readonly more: boolean;
}

export class StoredWebhooks {
  readonly #parts: StoredWebhooksParts;
  readonly #sql: postgres.Sql;

  constructor(parts: StoredWebhooksParts) {
    this.#parts = parts;
    this.#sql = parts.sql;
  }

  /** @throws {ParleyError} `limit_reached`, `invalid` */
  async create(input: WebhookCreateInput): Promise<WebhookWithSecret> {
    const { settings } = this.#parts;
    this.#checkUrl(input.url);
    const secret = newSecret();
    const row = await explained(
      this.#sql.begin(async (sql) => {
        // a statement of its own: the count below needs a snapshot that begins after the lock
        await sql`select from webhook_changes for update`;
        const [created] = await sql<WebhookRow[]>`
          insert into webhooks (id, url, events, rooms, format, ordered, secret)
          select ${randomUUID()}::uuid, ${input.url}, ${unique(input.events)}::text[], ${unique(input.rooms)}::text[],
            ${input.format}, ${input.ordered}, ${secret}::bytea
          where (select count(*) from webhooks) < ${settings.maxWebhooks}
          returning *`;
        return created;
      }),
    );
    if (row === undefined) {
      const text = `There are ${settings.maxWebhooks} webhooks already; delete one of them first.`;
      throw new ParleyError('limit_reached', text);
    }
    return { webhook: viewOf(row), secret: secretText(secret) };
  }

  /** Oldest first. */
  async list(): Promise<WebhookView[]> {
    return (await explained(this.#sql<WebhookRow[]>`${this.#webhooks} order by created_at, id`)).map(viewOf);
  }

  /** @throws {ParleyError} `not_found` */
  async get(id: string): Promise<WebhookView> {
    const [row] = await explained(this.#sql<WebhookRow[]>`${this.#webhooks} where id = ${id}::uuid`);
    return viewOf(known(row));
  }

  /** @throws {ParleyError} `not_found`, `invalid` */
  async update({ id, url, events, rooms, format, ordered, enabled }: WebhookUpdateInput): Promise<WebhookView> {
    if (url !== undefined) this.#checkUrl(url);
    const wish = enabled ?? null;
    const [row] = await explained(
      this.#sql<WebhookRow[]>`
        update webhooks set url = coalesce(${url ?? null}, url), events = coalesce(${unique(events)}::text[], events),
          rooms = coalesce(${unique(rooms)}::text[], rooms), format = coalesce(${format ?? null}, format),
          ordered = coalesce(${ordered ?? null}::boolean, ordered),
          state = case ${wish}::boolean when true then 'active' when false then 'disabled' else state end,
          reason = case ${wish}::boolean when true then null when false then coalesce(reason, 'operator') else reason end,
          disabled_at = case ${wish}::boolean
            when true then null when false then coalesce(disabled_at, clock_timestamp()) else disabled_at end,
          failing_since = case when ${wish}::boolean is null then failing_since end
        where id = ${id}::uuid returning *`,
    );
    const webhook = known(row);
    if (enabled === false) await explained(endAll(this.#sql, id));
    return viewOf(webhook);
  }

  /** @throws {ParleyError} `not_found` */
  async delete(id: string): Promise<WebhookView> {
    const [row] = await explained(this.#sql<WebhookRow[]>`delete from webhooks where id = ${id}::uuid returning *`);
    return viewOf(known(row));
  }

  /** @throws {ParleyError} `not_found` */
  async rotate({ id, overlapMs = this.#parts.settings.overlapMs }: WebhookRotateInput): Promise<WebhookWithSecret> {
    const secret = newSecret();
    const [row] = await explained(
      this.#sql<WebhookRow[]>`
        update webhooks set
          previous_secret = case when ${overlapMs}::int8 > 0 then secret end,
          previous_until = case when ${overlapMs}::int8 > 0 then clock_timestamp() + ${overlapMs}::int8 * interval '1 ms' end,
          secret = ${secret}::bytea, rotated_at = clock_timestamp()
        where id = ${id}::uuid returning *`,
    );
    return { webhook: viewOf(known(row)), secret: secretText(secret) };
  }

  /** @throws {ParleyError} `not_found`, or `conflict` if the webhook is disabled */
  async test(id: string): Promise<DeliveryView> {
    const { state, format } = await this.get(id);
    if (state !== 'active') throw disabled();
    const delivery = randomUUID();
    const data = { webhook: id };
    const body = bodyOf(format, {
      id: delivery,
      type: 'webhook.test',
      at: Date.now(),
      room: null,
      data: JSON.stringify(data),
    });
    const [row] = await explained(
      this.#sql<DeliveryRow[]>`
        insert into webhook_deliveries (id, webhook, event, body)
        select ${delivery}::uuid, id, 'webhook.test', ${body} from webhooks where id = ${id}::uuid for key share returning *`,
    );
    const view = deliveryViewOf(known(row));
    await this.#parts.addJobs([jobOf(delivery)]);
    return view;
  }

  /** Newest first. @throws {ParleyError} `not_found` */
  async deliveries(input: {
    readonly id: string;
    readonly state?: DeliveryState | undefined;
    readonly before?: number | undefined;
    readonly limit: number;
  }): Promise<DeliveryPage> {
    const { id, state, before, limit } = input;
    await this.get(id);
    const rows = await explained(
      this.#sql<DeliveryRow[]>`
        select id, n, event, room, rev, state, attempts, replays, last_status, last_error, created_at, due_at, ended_at
        from webhook_deliveries
        where webhook = ${id}::uuid and n < ${before ?? null}::int8 is not false
          and (${state ?? null}::text is null or state = ${state ?? null})
        order by n desc limit ${limit + 1}`,
    );
    const page = rows.slice(0, limit).map(deliveryViewOf);
    const more = rows.length > limit;
    return { deliveries: page, next: more ? (page.at(-1)?.place ?? null) : null, more };
  }

  /** @throws {ParleyError} `not_found`, `conflict` for an open delivery or a disabled webhook, `limit_reached` */
  async replay(id: string, delivery: string): Promise<DeliveryView> {
    if ((await this.get(id)).state !== 'active') throw disabled();
    const [row] = await explained(
      this.#sql<DeliveryRow[]>`
        update webhook_deliveries set state = 'waiting', attempts = 0, replays = replays + 1, n = default, due_at = clock_timestamp(),
          ended_at = null, last_status = null, last_error = null
        where id = ${delivery}::uuid and webhook = ${id}::uuid and state in ('delivered', 'dead') and replays < ${webhookLimits.replays}
        returning *`,
    );
    if (row === undefined) throw await this.#whyNot(id, delivery);
    await this.#parts.addJobs([jobOf(delivery, `_replay${row.replays}`)]);
    return deliveryViewOf(row);
  }

  async #whyNot(id: string, delivery: string): Promise<ParleyError> {
    const [row] = await explained(
      this.#sql<
        DeliveryRow[]
      >`select state from webhook_deliveries where id = ${delivery}::uuid and webhook = ${id}::uuid`,
    );
    if (row === undefined) return new ParleyError('not_found', 'There is no such delivery.');
    if (row.state === 'waiting' || row.state === 'sending')
      return new ParleyError('conflict', 'The delivery has not ended.');
    return new ParleyError('limit_reached', `The delivery has been replayed ${webhookLimits.replays} times.`);
  }

  get #webhooks(): postgres.PendingQuery<postgres.Row[]> {
    return this.#sql`
      select id, url, events, rooms, format, ordered, state, reason, failing_since, disabled_at, created_at, rotated_at,
        case when previous_until > clock_timestamp() then previous_until end as previous_until
      from webhooks`;
  }

  #checkUrl(url: string): void {
    try {
      this.#parts.outgoing.check(url);
    } catch (error) {
      if (error instanceof OutgoingRefused) throw new ParleyError('invalid', `url: ${error.message}`, { cause: error });
      throw error;
    }
  }
}

function unique<T extends string>(values: readonly T[]): T[];
function unique<T extends string>(values: readonly T[] | undefined): T[] | null;
function unique<T extends string>(values: readonly T[] | undefined): T[] | null {
  return values === undefined ? null : [...new Set(values)];
}

/** @throws {ParleyError} `not_found` */
function known<T>(row: T | undefined): T {
  if (row === undefined) throw new ParleyError('not_found', 'There is no such webhook.');
  return row;
}

function disabled(): ParleyError {
  return new ParleyError('conflict', 'The webhook is disabled; enable it first.');
}

/** Rejects with the error for a client. */
async function explained<T>(work: PromiseLike<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw clientError(error);
  }
}

function viewOf(row: WebhookRow): WebhookView {
  return {
    id: row.id,
    url: row.url,
    events: row.events,
    rooms: row.rooms,
    format: row.format,
    ordered: row.ordered,
    state: row.state,
    reason: row.reason,
    failingSince: row.failing_since,
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
    rotatedAt: row.rotated_at,
    previousUntil: row.previous_until,
  };
}

function deliveryViewOf(row: DeliveryRow): DeliveryView {
  return {
    id: row.id,
    place: row.n,
    event: row.event,
    room: row.room,
    rev: row.rev,
    state: row.state,
    attempts: row.attempts,
    replays: row.replays,
    lastStatus: row.last_status,
    lastError: row.last_error,
    createdAt: row.created_at,
    dueAt: row.ended_at === null ? row.due_at : null,
    endedAt: row.ended_at,
  };
}
