/**
 * A stream of one room: history, and then events without a gap. The stream follows the room before its first read, as
 * connections subscribe before theirs. States:
 *
 * - *history*: pages by seq. The rev of the first page is the cursor: its later changes come afterwards.
 * - *behind*: changes after the cursor are read with `sync`, one page when the reader has taken the page before.
 * - *live*: events come from the hub. A gap in their revs, or more bytes than the buffer takes, leads to *behind*.
 * - *over*: the last line names the reason and the place to resume. Every state leads here.
 *
 * Events that come during a read wait, and those after the read's rev follow it. If more wait than the buffer takes, they are
 * dropped, and the stream stays behind. So a slow reader costs one page and one buffer of memory, and misses nothing.
 */
import type { Clock, ClockTimer } from '../../jobs/clock.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { changeLine, ownLine } from '../../protocol/stream-lines.ts';
import type { FollowedEvent, Follower, FollowerEnd } from '../../hub/followers.ts';
import type { StreamContent } from '../bridge/response.ts';
import { LineQueue, type Position } from './line-queue.ts';
import { SentMessages } from './sent-messages.ts';
import type { StreamReads } from './stream-reads.ts';
import { endMessages, type StreamEnd } from './stream-end.ts';

export interface RoomStreamParts {
  readonly user: string;
  readonly room: string;
  readonly reads: Pick<StreamReads, 'history' | 'changes'>;
  readonly maxBufferBytes: number;
  /** A client expects the events after this head. @returns the head to read up to, if some of these events came before */
  readonly noteHead: (rev: number) => number | undefined;
  readonly clock: Clock;
  /** The stream has fallen behind its room. */
  readonly fellBehind: () => void;
  /** The stream follows the room no more. */
  readonly unfollow: (stream: Follower) => void;
  /** The client is gone, or has the last line. Called once. */
  readonly closed: (stream: RoomStream, reason: StreamEnd) => void;
  /** An error that is a fault of the server. */
  readonly failed: (error: unknown) => void;
}

export interface StreamStart {
  /** Undefined, with no `rev` either: the stream begins with the next event. */
  readonly after: number | undefined;
  /** The client has every change up to this rev. */
  readonly rev: number | undefined;
}

type State = 'history' | 'behind' | 'live' | 'over';

const firstRetryMs = 250;
const lastRetryMs = 4000;
/** The read was of a server behind the one that wrote. */
const lateMs = 100;

export class RoomStream implements StreamContent, Follower {
  readonly user: string;
  readonly room: string;
  isMember = false;
  /** When the client last took a line. */
  tookAt: number;
  readonly #parts: RoomStreamParts;
  readonly #queue = new LineQueue();
  readonly #start: StreamStart;
  #sent: SentMessages;
  #state: State;
  /** Every change up to this rev is sent or in the queue; undefined before the first read. */
  #cursor: number | undefined;
  /** The head of the room when the last page of history was read. */
  #historyRev = 0;
  #isReading = false;
  /** Events that come during a read; undefined: events are not kept. */
  #waiting: FollowedEvent[] | undefined = undefined;
  #waitingBytes = 0;
  #retry: ClockTimer | undefined = undefined;
  #failures = 0;
  #wake: (() => void) | undefined = undefined;
  #end: StreamEnd | undefined = undefined;
  #isClosed = false;
  #isCut = false;

  constructor(start: StreamStart, parts: RoomStreamParts) {
    this.user = parts.user;
    this.room = parts.room;
    this.#parts = parts;
    this.#start = start;
    this.#sent = new SentMessages(start.after ?? 0);
    this.#cursor = start.rev;
    this.#state = start.rev === undefined ? 'history' : 'behind';
    this.tookAt = parts.clock.now();
    this.#queue.given = { rev: start.rev ?? 0, seq: start.after ?? 0 };
  }

  /** The first read, whose error is the answer of the request. @throws {ParleyError} */
  async begin(): Promise<void> {
    await this.#read();
    const end = this.#end;
    this.isMember = end === undefined;
    if (end === undefined || end === 'reset' || end === 'closed') return;
    // `sync` leaves a room out for several reasons, and `history` names the reason
    if (end === 'not_member') await this.#parts.reads.history(undefined);
    throw new ParleyError(end);
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** The first read failed, so nobody reads the stream. */
  abandon(reason: StreamEnd): void {
    this.end(reason);
    this.#end = reason;
    this.#close();
  }

  deliver(event: FollowedEvent): void {
    const { maxBufferBytes } = this.#parts;
    if (this.#waiting !== undefined) {
      this.#waitingBytes += event.line.byteLength;
      if (this.#waitingBytes <= maxBufferBytes) this.#waiting.push(event);
      else this.#waiting.length = 0;
      return;
    }
    if (this.#state !== 'live') return;
    this.#follow(event);
    this.#notify();
  }

  /** Nothing but the last line is sent from now on. */
  end(reason: FollowerEnd | StreamEnd): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#end = reason;
    this.#queue.clear();
    this.#retry?.cancel();
    this.#parts.unfollow(this);
    this.#notify();
  }

  /** Nothing came for some time: a line shows that the stream is alive. */
  heartbeat(): void {
    if (this.#state === 'over' || this.#queue.size > 0 || this.#wake === undefined) return;
    this.#queueHeartbeat();
    this.#notify();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      // the client is gone, or is cut off
      return: () => {
        if (this.#state !== 'over') this.end('closed');
        queueMicrotask(() => this.#close());
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** The last line of a reader that is cut off because it is slow. */
  lastPart(): string {
    this.#isCut = true;
    const { position, isWhole } = this.#queue.reached();
    // the cut may be inside of a line
    const code = this.#end === undefined || this.#end === 'closed' ? 'slow_consumer' : this.#end;
    return `${isWhole ? '' : '\n'}${this.#endLine(code, position)}`;
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    this.#queue.taken();
    for (;;) {
      if (this.#isClosed) return { done: true, value: undefined };
      if (this.#queue.size > 0) {
        this.tookAt = this.#parts.clock.now();
        return { done: false, value: this.#queue.take() };
      }
      if (this.#end !== undefined) {
        const line = this.#endLine(this.#end, this.#queue.given);
        this.#close();
        return { done: false, value: Buffer.from(line) };
      }
      if (this.#state !== 'live') this.#readOn();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Reads the next page, unless a read runs or a pause is on. */
  #readOn(): void {
    if (this.#isReading || this.#retry !== undefined) return;
    this.#read().then(
      () => this.#notify(),
      (error: unknown) => this.#failed(error),
    );
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    try {
      await (this.#state === 'history' ? this.#readHistory() : this.#readChanges());
      this.#failures = 0;
    } finally {
      this.#isReading = false;
      this.#waiting = undefined;
    }
  }

  async #readHistory(): Promise<void> {
    const { after } = this.#start;
    const page = await this.#parts.reads.history(after === undefined ? undefined : this.#sent.upTo);
    if (this.#state === 'over') return;
    if (page.reset) return this.end('reset');
    this.#cursor ??= page.rev;
    for (const { seq, rev, json } of page.rows) {
      this.#sent.sentUpTo(seq);
      if (after !== undefined) this.#push(Buffer.from(changeLine('message', rev, json)), this.#cursor);
    }
    this.#sent.page(page.rev);
    this.#historyRev = page.rev;
    if (after !== undefined && page.more) return;
    this.#state = 'behind';
    if (page.rev === this.#cursor) this.#reachHead(page.rev);
  }

  async #readChanges(): Promise<void> {
    const page = await this.#parts.reads.changes(this.#cursor ?? 0);
    if (this.#state === 'over') return;
    if (page === undefined) return this.end('not_member');
    if (page.reset) return this.end('reset');
    for (const row of page.rows) {
      const type = this.#sent.note(row);
      if (type !== undefined) this.#push(Buffer.from(changeLine(type, row.rev, row.json)), row.rev);
    }
    this.#cursor = page.rev;
    if (page.more) return;
    // the changes are those that this node has, and the history may have had more: its messages would come twice
    if (page.rev < this.#historyRev) this.#pause(lateMs);
    else this.#reachHead(page.rev);
  }

  /** The reads have reached the head at their time. The events that came meanwhile follow. */
  #reachHead(rev: number): void {
    this.#sent.allSent();
    const missed = this.#parts.noteHead(rev);
    const waiting = this.#waiting ?? [];
    // an event may come before the end of the read is known
    this.#waiting = undefined;
    if (this.#waitingBytes > this.#parts.maxBufferBytes) return;
    this.#state = 'live';
    this.#queueHeartbeat();
    for (const event of waiting) if (this.#state === 'live') this.#follow(event);
    if (missed === undefined || this.#state !== 'live' || (this.#cursor ?? 0) >= missed) return;
    this.#state = 'behind';
    this.#pause(lateMs);
  }

  #follow({ rev, seq, line }: FollowedEvent): void {
    const cursor = this.#cursor ?? 0;
    if (rev <= cursor) return;
    const isNext = rev === cursor + 1 && !Number.isNaN(seq);
    if (!isNext || this.#queue.bytes + line.byteLength > this.#parts.maxBufferBytes) {
      this.#state = 'behind';
      this.#parts.fellBehind();
      return;
    }
    if (seq !== undefined) this.#sent.sentUpTo(seq);
    this.#cursor = rev;
    this.#push(line, rev);
  }

  #push(line: Uint8Array, rev: number): void {
    this.#queue.push(line, { rev, seq: this.#sent.upTo });
  }

  #queueHeartbeat(): void {
    const position = { rev: this.#cursor ?? 0, seq: this.#sent.upTo };
    this.#queue.push(Buffer.from(ownLine({ type: 'heartbeat', ...position })), position);
  }

  #failed(thrown: unknown): void {
    if (this.#state === 'over') return;
    if (!(thrown instanceof ParleyError)) {
      this.#parts.failed(thrown);
      return this.end('internal');
    }
    if (!thrown.retryable || thrown.code === 'draining') return this.end(thrown.code);
    this.#pause(thrown.retryAfter ?? Math.min(lastRetryMs, firstRetryMs * 2 ** this.#failures++));
  }

  #pause(ms: number): void {
    this.#retry?.cancel();
    this.#retry = this.#parts.clock.after(ms, () => {
      this.#retry = undefined;
      this.#notify();
    });
  }

  #endLine(code: StreamEnd, { rev, seq }: Position): string {
    return ownLine({ type: 'end', code, message: endMessages(code), after: seq, rev });
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue.clear();
    this.#notify();
    this.#parts.closed(this, this.#isCut ? 'slow_consumer' : (this.#end ?? 'closed'));
  }
}
