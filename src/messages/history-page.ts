/**
 * A page of a room's messages: the output of `history` as the JSON text of each member. REST gives the members other names,
 * so it takes the texts apart from each other. The bodies of messages are never parsed.
 */
export interface PageContent {
  /** JSON texts of messages, with commas between them; '': none. */
  readonly messages: string;
  readonly before: number | null;
  readonly after: number | null;
  readonly more: boolean;
  readonly rev: number;
  readonly epoch: string;
  readonly reset: boolean;
}

export class HistoryPage {
  /** The head of the room, in the snapshot of the page. */
  readonly rev: number;
  /** The JSON text of each member of the output, by its name. */
  readonly members: ReadonlyMap<string, string>;
  #json: string | undefined;

  constructor({ messages, before, after, more, rev, epoch, reset }: PageContent) {
    this.rev = rev;
    const members = new Map([
      ['messages', `[${messages}]`],
      ['before', String(before)],
      ['after', String(after)],
      ['more', String(more)],
      ['rev', String(rev)],
      ['epoch', `"${epoch}"`],
    ]);
    if (reset) members.set('reset', 'true');
    this.members = members;
  }
  /** The JSON text of the whole output. */
  get json(): string {
    this.#json ??= jsonOf(this.members);
    return this.#json;
  }
}

function jsonOf(members: ReadonlyMap<string, string>): string {
  return `{${Array.from(members, ([name, text]) => `"${name}":${text}`).join(',')}}`;
}
