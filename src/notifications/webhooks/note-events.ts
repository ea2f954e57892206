/** The outbox gives its events to webhooks here, in its own transaction. */
import { randomUUID } from 'node:crypto';
import type { WebhookEvent, WebhookFormat } from '../../protocol/webhooks.ts';
import { RoomPatterns } from '../../rooms/room-patterns.ts';
import type { postgres } from '../../storage/sql.ts';
import type { LaneJob } from '../lanes/lanes.ts';
import { jobOf } from './delivery-job.ts';
import { roomBody, type RoomEvent } from './room-event.ts';

export type { RoomEvent } from './room-event.ts';

interface Listening {
  readonly id: string;
  readonly events: readonly WebhookEvent[];
  readonly rooms: readonly string[];
  readonly format: WebhookFormat;
}

interface Delivery {
  readonly id: string;
  readonly webhook: string;
  readonly event: RoomEvent;
  readonly body: string;
}

/** A body may have 16 KiB, so a statement has some megabytes at most. */
const rowsAtOnce = 200;

/**
 * Writes a delivery for each event and each active webhook that wants the event. The order of the events is the order of the
 * deliveries. So the events of a room have to come in the order of their revs, also from one transaction to the next.
 *
 * @returns the jobs that the caller adds after the commit. If they are lost, `openDeliveries` gives them again.
 */
export async function noteEvents(
  tx: postgres.TransactionSql,
  events: readonly RoomEvent[],
): Promise<readonly LaneJob[]> {
  if (events.length === 0) return [];
  // the lock keeps the webhooks from being deleted until the deliveries exist
  const webhooks = await tx<Listening[]>`
    select id, events, rooms, format from webhooks where state = 'active' order by id for key share`;
  const wanted = webhooks.map((webhook) => ({ webhook, rooms: new RoomPatterns(webhook.rooms) }));
  const deliveries = events.flatMap((event): Delivery[] =>
    wanted
      .filter(({ webhook, rooms }) => webhook.events.includes(event.kind) && rooms.match(event.room))
      .map(({ webhook }) => {
        const id = randomUUID();
        return { id, webhook: webhook.id, event, body: roomBody(webhook.format, id, event) };
      }),
  );
  if (deliveries.length === 0) return [];
  for (let from = 0; from < deliveries.length; from += rowsAtOnce)
    await store(tx, deliveries.slice(from, from + rowsAtOnce));
  return deliveries.map(({ id }) => jobOf(id));
}

async function store(tx: postgres.TransactionSql, deliveries: readonly Delivery[]): Promise<void> {
  await tx`
    insert into webhook_deliveries (id, webhook, room, event, rev, body)
    select id, webhook, room, event, rev, body
    from unnest(${deliveries.map(({ id }) => id)}::uuid[], ${deliveries.map(({ webhook }) => webhook)}::uuid[],
        ${deliveries.map(({ event }) => event.room)}::text[],
        ${deliveries.map(({ event }) => event.kind)}::text[], ${deliveries.map(({ event }) => event.rev)}::int8[],
        ${deliveries.map(({ body }) => body)}::text[])
      with ordinality as d (id, webhook, room, event, rev, body, place)
    order by place`;
}
