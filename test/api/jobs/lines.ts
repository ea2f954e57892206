/** Files of an export, made for imports. */
import { createHash } from 'node:crypto';

export interface FileOptions {
  readonly room: string;
  readonly messages: number;
  /** Characters of each text, about. */
  readonly size?: number;
  /** Replaces a line, from 1. */
  readonly wrong?: { readonly line: number; readonly text: string };
}

/** The lines of the file before its first message: the export, the room, and its user. */
export const linesBefore = 3;

/** A file with one room of `messages` messages by ann. The ids of the messages follow from the room and the seq. */
export function fileOf({ room, messages, size = 0, wrong }: FileOptions): string {
  const at = 1_700_000_000_000;
  const lines: object[] = [
    { type: 'export', format: 3, at, since: null },
    {
      type: 'room',
      id: room,
      kind: 'group',
      name: room,
      createdBy: 'ann',
      createdAt: at,
      first: 1,
      seq: messages,
      rev: messages,
      retentionDays: null,
    },
    { type: 'user', id: 'ann', name: 'Ann' },
  ];
  for (let seq = 1; seq <= messages; seq++) {
    const body = { text: `message ${seq}${'.'.repeat(size)}` };
    lines.push({ type: 'message', seq, rev: seq, id: idOf(room, seq), from: 'ann', body, at: at + seq });
  }
  const ann = { user: 'ann', name: 'Ann', role: 'owner', read: 0, delivered: 0, joinedAt: at };
  lines.push(
    { type: 'member', ...ann },
    { type: 'room:end', id: room, messages, versions: 0, reactions: 0, members: 1 },
    { type: 'end', rooms: 1, messages, blocks: 0 },
  );
  const texts = lines.map((line) => JSON.stringify(line));
  if (wrong !== undefined) texts[wrong.line - 1] = wrong.text;
  return `${texts.join('\n')}\n`;
}

export function idOf(room: string, seq: number): string {
  const hex = createHash('sha256').update(`${room} ${seq}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
