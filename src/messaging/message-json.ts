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
  /** Milliseconds since 1970, as the next two. */
  readonly at: number;
  readonly edited_at?: number | null;
  readonly deleted_at?: number | null;
  /** JSON text of the model's `reactions`; null: none. */
  readonly reactions?: string | null;
  /** It is not as it was sent. Absent in one that has just been. */
  readonly changed?: boolean;
}

/** The wire form of `message` in src/protocol/model.ts, by hand: the body is spliced in as it is. A test compares the two. */
export function messageJson(m: StoredMessage): string {
  const name = m.name === null ? 'null' : JSON.stringify(m.name);
  const reply = m.reply_to === null ? '' : `,"replyTo":${m.reply_to}`;
  const changes = m.changed === true ? changesJson(m) : '';
  // room ids, user ids and UUIDs hold nothing that JSON would escape
  return `{"room":"${m.room}","seq":${m.seq},"rev":${m.rev},"id":"${m.id}","from":"${m.from}","name":${name},"body":${m.body}${reply},"at":${m.at}${changes}}`;
}

function changesJson({
  edited_at: edited = null,
  deleted_at: deleted = null,
  reactions = null,
}: StoredMessage): string {
  return (
    (edited === null ? '' : `,"editedAt":${edited}`) +
    (deleted === null ? '' : `,"deletedAt":${deleted}`) +
    (reactions === null ? '' : `,"reactions":${reactions}`)
  );
}
