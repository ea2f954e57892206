/** The events of rooms that webhooks get, and the bodies of their requests. */
import type { WebhookEvent, WebhookFormat } from '../../protocol/webhooks.ts';

export interface RoomEvent {
  readonly room: string;
  readonly roomKind: string;
  /** The place of the event in the order of its room. Null: the event is no change of the room. */
  readonly rev: number | null;
  readonly kind: WebhookEvent;
  /** The message, or the notification, as JSON text. A body is never parsed, because numbers would lose digits. */
  readonly json: string;
  /** When the change was stored, in milliseconds since 1970. */
  readonly at: number;
}

/** The part of an event that does not depend on the format. */
interface EventContent {
  readonly id: string;
  readonly type: string;
  readonly at: number;
  readonly room: string | null;
  /** JSON text. */
  readonly data: string;
}

export const contentTypes: Readonly<Record<WebhookFormat, string>> = {
  standard: 'application/json',
  cloudevents: 'application/cloudevents+json',
};

export function bodyOf(format: WebhookFormat, { id, type, at, room, data }: EventContent): string {
  const time = new Date(at).toISOString();
  if (format === 'standard') return withData({ type, timestamp: time }, data);
  const source = room === null ? '/parley' : `/parley/rooms/${room}`;
  const head = { specversion: '1.0', id, source, type: `parley.${type}`, time, datacontenttype: 'application/json' };
  return withData(head, data);
}

export function roomBody(format: WebhookFormat, id: string, event: RoomEvent): string {
  const { room, roomKind, rev, kind, json, at } = event;
  const data = `${JSON.stringify({ room, roomKind, rev }).slice(0, -1)},"event":${json}}`;
  return bodyOf(format, { id, type: kind, at, room, data });
}

function withData(head: object, data: string): string {
  return `${JSON.stringify(head).slice(0, -1)},"data":${data}}`;
}
