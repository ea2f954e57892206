/** The lines of an import as they come, each checked for itself and against those before it. Uses no database. */
import { encodeBody } from '../messages/bodies/bodies.ts';
import {
  countedLines,
  format,
  line as lineSchema,
  noCounts,
  type CountedLine,
  type Counts,
  type Line,
  type LineOf,
} from './lines.ts';
import { WrongLine } from './wrong-line.ts';

/** A line within a room. */
export type Item = LineOf<CountedLine | 'user'>;

interface OpenRoom {
  readonly line: LineOf<'room'>;
  /** The number of the next message. */
  next: number;
  readonly seen: Counts;
}

export class CheckedLines {
  #format: number | undefined = undefined;
  #room: OpenRoom | undefined = undefined;
  #rooms = 0;
  #messages = 0;
  #blocks = 0;
  #ended = false;
  /** The number of the line that was read last, from 1. */
  number = 0;

  get ended(): boolean {
    return this.#ended;
  }

  /** The format of the file; 0 before its first line. */
  get format(): number {
    return this.#format ?? 0;
  }

  /** @throws {WrongLine} */
  take(text: string): Line {
    this.number++;
    const line = parse(text);
    if (this.#format === undefined) {
      this.#begin(line);
      return line;
    }
    if (this.#ended) throw new WrongLine('there is more behind the end.');
    if (line.type === 'export') throw new WrongLine('a second export line.');
    if (line.type === 'end') this.#end(line);
    else if (line.type === 'room') this.#open(line);
    else if (line.type === 'block') this.#block(line);
    else if (this.#room === undefined) throw new WrongLine(`a ${line.type} line outside of a room.`);
    else if (line.type === 'room:end') this.#close(this.#room, line);
    else check(this.#room, line);
    return line;
  }

  #begin(line: Line): void {
    if (line.type !== 'export') throw new WrongLine('the file does not begin with an export line.');
    if (line.format < 1 || line.format > format) {
      throw new WrongLine(`format ${line.format}; this Parley reads ${format} and before.`);
    }
    this.#format = line.format;
  }

  #end(line: LineOf<'end'>): void {
    if (this.#room !== undefined) throw new WrongLine(`the end, inside of room ${this.#room.line.id}.`);
    if (line.rooms !== this.#rooms || line.messages !== this.#messages) {
      throw new WrongLine(
        `it counts ${line.rooms} rooms and ${line.messages} messages; there were ${this.#rooms} and ${this.#messages}.`,
      );
    }
    if (line.blocks !== this.#blocks) {
      throw new WrongLine(`it counts ${line.blocks} blocks; there were ${this.#blocks}.`);
    }
    this.#ended = true;
  }

  #block({ user, blocked }: LineOf<'block'>): void {
    if (this.#room !== undefined) throw new WrongLine(`a block line inside of room ${this.#room.line.id}.`);
    if (user === blocked) throw new WrongLine(`a block of ${user} by the same user.`);
    this.#blocks++;
  }

  #open(line: LineOf<'room'>): void {
    if (this.#room !== undefined) throw new WrongLine(`room ${line.id} begins inside of room ${this.#room.line.id}.`);
    if (line.first > line.seq + 1) throw new WrongLine(`its first message is ${line.first}, its last ${line.seq}.`);
    this.#room = { line, next: line.first, seen: noCounts() };
  }

  #close({ line, next, seen }: OpenRoom, end: LineOf<'room:end'>): void {
    if (end.id !== line.id) throw new WrongLine(`the end of room ${end.id} inside of room ${line.id}.`);
    if (next !== line.seq + 1) throw new WrongLine(`room ${line.id} ends before message ${next}.`);
    for (const what of Object.values(countedLines)) {
      if (end[what] !== seen[what]) throw new WrongLine(`it counts ${end[what]} ${what}; there were ${seen[what]}.`);
    }
    this.#room = undefined;
    this.#rooms++;
    this.#messages += seen.messages;
  }
}

function check(room: OpenRoom, line: Item): void {
  const { seen } = room;
  if (line.type === 'user') return;
  if (line.type === 'message') {
    checkMessage(room, line);
    room.next++;
  } else if (line.type === 'expired') {
    checkPlace(room, line.seq);
    room.next++;
  } else if (line.type === 'version' || line.type === 'reaction' || line.type === 'mention') {
    if (line.seq >= room.next) throw new WrongLine(`a ${line.type} of message ${line.seq}, which has not come yet.`);
  } else if (room.next !== room.line.seq + 1) {
    throw new WrongLine(`${countedLines[line.type]} before message ${room.next}: messages are missing.`);
  }
  if (line.type === 'follow' && line.root > room.line.seq) {
    throw new WrongLine(`the thread of message ${line.root} in a room that ends with ${room.line.seq}.`);
  }
  seen[countedLines[line.type]]++;
}

function checkPlace({ line: room, next }: OpenRoom, seq: number): void {
  if (seq !== next) throw new WrongLine(`message ${seq} where ${next} is next.`);
  if (seq > room.seq) throw new WrongLine(`message ${seq} in a room that ends with ${room.seq}.`);
}

function checkMessage(open: OpenRoom, { seq, rev, ...message }: LineOf<'message'>): void {
  const { line: room } = open;
  const { replyTo = 0, thread, pinnedAt, pinnedBy } = message;
  checkPlace(open, seq);
  if (rev > room.rev) throw new WrongLine(`rev ${rev} in a room whose last is ${room.rev}.`);
  if (replyTo >= seq) throw new WrongLine(`message ${seq} answers ${replyTo}, which comes later.`);
  if (thread !== undefined && thread > replyTo) {
    throw new WrongLine(`message ${seq} is in the thread of ${thread}, which comes later than what it answers.`);
  }
  if ((pinnedAt === undefined) !== (pinnedBy === undefined)) {
    throw new WrongLine(`message ${seq} is pinned by nobody or at no time.`);
  }
}

function parse(text: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WrongLine('no JSON.');
  }
  const parsed = lineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new WrongLine(`${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not a line of an export'}.`);
}

/**
 * The item as it goes to Postgres: JSON text. Bodies pass the check that those of sends do.
 * @throws {WrongLine}
 * @throws {ParleyError} `invalid`, `too_large`
 */
export function rowOf(item: Item): string {
  if (item.type !== 'message' && item.type !== 'version') return JSON.stringify(item);
  const { body, ...rest } = item;
  if (body === undefined) throw new WrongLine('body: missing.');
  if (body === null && item.type === 'message' && item.deletedAt === undefined) {
    throw new WrongLine(`message ${item.seq} has no body, but was not deleted.`);
  }
  return `${JSON.stringify(rest).slice(0, -1)},"body":${body === null ? 'null' : encodeBody(body)}}`;
}
