/** The data of a push: as much of the message as the user allows. */
import type { UserPreferences } from '../../protocol/notifications.ts';
import { cleanDisplayText } from '../../protocol/display-text.ts';
import { mentionRuns } from '../../protocol/mention-scan.ts';
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
  return JSON.stringify({ ...ids, ...names, text: textOf(row) });
}

/** Takes the notifications of a room off the screen, up to a seq. */
export function clearPayload(room: string, upTo: number, badge: number): string {
  return JSON.stringify({ type: 'clear', room, upTo, badge, tag: tagOf(room) });
}

/** Null: the body has no text that a push may show, such as an encrypted one. */
function textOf({ body, mentioned }: PushRow): string | null {
  const parsed: unknown = body === null ? null : JSON.parse(body);
  if (typeof parsed !== 'object' || parsed === null || !('text' in parsed) || typeof parsed.text !== 'string')
    return null;
  const names = (mentioned === null ? {} : JSON.parse(mentioned)) as Readonly<Record<string, string>>;
  return cleanDisplayText(withNames(parsed.text, names), textLength)?.text ?? null;
}

/** A text mentions users by their ids; a reader sees their names. */
function withNames(text: string, names: Readonly<Record<string, string>>): string {
  let shown = '';
  let from = 0;
  for (const { at, run, bare } of mentionRuns(text)) {
    const id = [run, bare].find((one) => Object.hasOwn(names, one));
    if (id === undefined) continue;
    shown += `${text.slice(from, at)}@${names[id] ?? id}`;
    from = at + 1 + id.length;
  }
  return shown + text.slice(from);
}
