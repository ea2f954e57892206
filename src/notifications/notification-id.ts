import { createHash } from 'node:crypto';
import type { Channel } from '../protocol/notifications.ts';

export interface NotificationKey {
  readonly room: string;
  readonly seq: number;
  readonly user: string;
  readonly channel: Channel;
  /** Empty: a channel without devices. */
  readonly device: string;
}

/** The namespace of the ids, in the sense of RFC 9562. Ids of stored rows depend on these bytes. */
const namespace = Buffer.from('5a1f3d0e8c0b4f6e9d2a7b64c1e80f39', 'hex');

/** The UUIDv5 of a notification: each node computes the same id, so a notification that is expanded twice is one row. */
export function notificationId({ room, seq, user, channel, device }: NotificationKey): string {
  // no id has a line feed
  const name = [room, seq, user, channel, device].join('\n');
  const hash = createHash('sha1').update(namespace).update(name).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
