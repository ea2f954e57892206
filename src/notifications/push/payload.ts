/** The data of a push: as much of the message as the user allows. */
import type { UserPreferences } from '../../protocol/notifications.ts';
import { cleanDisplayText } from '../../protocol/display-text.ts';
import type { PushRow } from './push-rows.ts';

/** A push has at most about 4,000 bytes for everything. */
const textLength = 240;

/** The device shows one notification with a tag; a later one replaces the one before. */
export const tagOf = (room: string): string => `room:${room}`;

export function messagePayload(row: PushRow, content: UserPreferences['content'] = 'full'): string {
  const { id, room_id: room, seq, at, kind, lane, unread: badge } = row;
  const ids = { type: 'message', id, room, seq, at, kind, lane, badge, tag: tagOf(room) };
  if (content === 'none') return JSON.stringify(ids);
  const names = { sender: row.sender, senderName: row.sender_name, roomName: row.room_name, roomKind: row.room_kind };
  if (content === 'sender') return JSON.stringify({ ...ids, ...names });
  return JSON.stringify({ ...ids, ...names, text: textOf(row.body) });
}

/** Takes the notifications of a room off the screen, up to a seq. */
export function clearPayload(room: string, upTo: number, badge: number): string {
  return JSON.stringify({ type: 'clear', room, upTo, badge, tag: tagOf(room) });
}

/** Null: the body has no text that a push may show, such as an encrypted one. */
function textOf(body: string | null): string | null {
  const parsed: unknown = body === null ? null : JSON.parse(body);
  if (typeof parsed !== 'object' || parsed === null || !('text' in parsed) || typeof parsed.text !== 'string')
    return null;
  return cleanDisplayText(parsed.text, textLength)?.text ?? null;
}
