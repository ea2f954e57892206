/** A message as it stands in Postgres: columns of `messages`, the sender's name, the body as JSON text. */
export interface StoredMessage {
  readonly room: string;
  readonly seq: number;
  readonly rev: number;
  readonly id: string;
  readonly from: string;
  readonly name: string | null;
  /** null: deleted. */
  readonly body: string | null;
  readonly reply_to: number | null;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** From `changesJson`, or written so by `messageColumns`; null or absent: it is as it was sent. */
  readonly changes?: string | null;
  /** From `thread_state`; null or absent: it is in no thread. */
  readonly thread?: string | null;
}

/** The wire form of `message` in src/protocol/model.ts, as text: the body is inserted without parsing it. A test compares the two. */
export function messageJson(m: StoredMessage): string {
  const name = m.name === null ? 'null' : JSON.stringify(m.name);
  const reply = m.reply_to === null ? '' : `,"replyTo":${m.reply_to}`;
  // room ids, user ids and UUIDs hold nothing that JSON would escape
  return `{"room":"${m.room}","seq":${m.seq},"rev":${m.rev},"id":"${m.id}","from":"${m.from}","name":${name},"body":${m.body}${reply},"at":${m.at}${m.changes ?? ''}${m.thread ?? ''}}`;
}

/**
 * @param reactions JSON text of a list
 * @param pinned from `pin_state`
 */
export function changesJson({
  editedAt,
  reactions,
  pinned,
}: {
  editedAt: number;
  reactions: string | null;
  pinned: string | null;
}): string {
  return `,"editedAt":${editedAt}${reactions === null ? '' : `,"reactions":${reactions}`}${pinned ?? ''}`;
}
