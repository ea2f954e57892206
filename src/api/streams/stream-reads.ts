/** The reads of a stream: the commands `history` and `sync`, with their messages as text that nobody parses. */
import type { Commands } from '../../commands/dispatcher.ts';
import { Encoded } from '../../commands/encoded.ts';
import type { CommandName } from '../../protocol/commands.ts';
import type { Caller } from '../../sessions/caller.ts';
import { elementsOf, membersOf, textOf } from '../json-text.ts';

export interface Row {
  readonly seq: number;
  readonly rev: number;
  readonly json: string;
}

export interface RowPage {
  readonly rows: readonly Row[];
  /** The head of the room in the snapshot of `history`, or the rev that a page of `sync` reaches. */
  readonly rev: number;
  readonly more: boolean;
  /** The cursor is of another epoch, or from before messages of the room expired. */
  readonly reset: boolean;
  readonly epoch: string;
}

/** The greatest page of changes. A message may have 16 KiB, and the whole page is in memory until the reader takes it. */
const changesBytes = 256 * 1024;

export interface StreamOf {
  readonly caller: Caller;
  readonly room: string;
  /** Messages of one read. */
  readonly limit: number;
}

export class StreamReads {
  readonly #commands: Pick<Commands, 'call'>;
  readonly #of: StreamOf;
  /** The epoch of the first read. Later reads in another epoch answer `reset`. */
  #epoch: string | undefined;

  constructor(commands: Pick<Commands, 'call'>, of: StreamOf, epoch: string | undefined) {
    this.#commands = commands;
    this.#of = of;
    this.#epoch = epoch;
  }

  /** @param after undefined: the last message. @throws {ParleyError} */
  async history(after: number | undefined): Promise<RowPage> {
    const { room, limit } = this.#of;
    const from = after === undefined ? { limit: 1 } : { after, limit };
    return this.#page(await this.#call('history', { room, ...from, ...this.#inEpoch() }));
  }

  /** @returns undefined if the caller is not a member. @throws {ParleyError} */
  async changes(rev: number): Promise<RowPage | undefined> {
    const { room, limit } = this.#of;
    const input = { cursors: { [room]: rev }, limit, bytes: changesBytes, ...this.#inEpoch() };
    const json = await this.#call('sync', input);
    const members = membersOf(json);
    const epoch = textOf(json, members, 'epoch') ?? '""';
    const rooms = textOf(json, members, 'rooms') ?? '{}';
    const text = textOf(rooms, membersOf(rooms), room);
    return text === undefined ? undefined : this.#page(`${text.slice(0, -1)},"epoch":${epoch}}`);
  }

  #inEpoch(): { readonly epoch?: string } {
    return this.#epoch === undefined ? {} : { epoch: this.#epoch };
  }

  async #call(name: CommandName, input: object): Promise<string> {
    const output = await this.#commands.call(this.#of.caller, name, input);
    return output instanceof Encoded ? output.json : JSON.stringify(output);
  }

  #page(json: string): RowPage {
    const members = membersOf(json);
    const [from = 0] = members.get('messages') ?? [];
    const epoch = JSON.parse(textOf(json, members, 'epoch') ?? '""') as string;
    this.#epoch ??= epoch;
    return {
      rows: elementsOf(json, from).map(([start, end]) => rowOf(json.slice(start, end))),
      rev: Number(textOf(json, members, 'rev')),
      more: textOf(json, members, 'more') === 'true',
      reset: textOf(json, members, 'reset') === 'true',
      epoch,
    };
  }
}

function rowOf(json: string): Row {
  const members = membersOf(json);
  return { seq: Number(textOf(json, members, 'seq')), rev: Number(textOf(json, members, 'rev')), json };
}
