import type { HttpResponse } from 'uWebSockets.js';
import { answer, answerInParts } from '../../http/http.ts';
import { encodePayload, frameBytes, packet, worthCompressing, type Frame } from './packet.ts';
import type { Wire } from './transport-socket.ts';
import type { Topics } from './topics.ts';

export interface PollSettings {
  /** Unsent bytes over which the session of a client that does not poll is closed. */
  readonly maxBufferedBytes: number;
}

/** A GET that waits for packets. */
export interface Poll {
  readonly res: HttpResponse;
  readonly headers: Readonly<Record<string, string>>;
}

/** A larger answer is written as its client reads it, so that unsent bytes are counted: uWS does not report its buffer. */
const inPartsBytes = 64 * 1024;

/**
 * The long-polling wire of one session: packets wait in `#queue` until a GET takes all of them.
 *
 * open → (upgrade done) moved to the WebSocket, or → (end) ended. In both states the wire accepts and sends nothing.
 */
export class PollingWire implements Wire {
  readonly #topics: Topics;
  readonly #settings: PollSettings;
  readonly #ended: (code: number, reason: string) => void;
  readonly #subscribed = new Set<string>();
  #queue: Frame[] = [];
  #queuedBytes = 0;
  #poll: Poll | undefined = undefined;
  /** A large answer that its client has not read to the end, and its unsent bytes. */
  #sending: { readonly poll: Poll; left: number } | undefined = undefined;
  #flushing = false;
  /** A WebSocket is being probed: each GET is answered at once, so that the client can stop polling. */
  #probing = false;
  #over = false;
  /** A POST is being read; a second one at the same time is a violation. */
  posting = false;

  constructor(topics: Topics, settings: PollSettings, ended: (code: number, reason: string) => void) {
    this.#topics = topics;
    this.#settings = settings;
    this.#ended = ended;
  }

  get waiting(): boolean {
    return this.#poll !== undefined || this.#sending !== undefined;
  }

  /** Keeps a GET for the next packets. `aborted` is called if the client aborts it, which ends the session. */
  poll(poll: Poll, aborted: () => void): void {
    this.#poll = poll;
    poll.res.onAborted(() => {
      if (this.#poll === poll) this.#poll = undefined;
      else if (this.#sending?.poll === poll) this.#sending = undefined;
      else return;
      aborted();
    });
    if (this.#queue.length > 0) this.#flush();
    else if (this.#probing) this.#answer([packet.noop]);
  }

  send(frame: Frame): number {
    if (this.#over) return 2;
    this.#queue.push(frame);
    this.#queuedBytes += frameBytes(frame);
    if (this.getBufferedAmount() > this.#settings.maxBufferedBytes) {
      this.end(1006, 'backpressure');
      return 2;
    }
    // packets of one turn of the event loop go in one answer
    if (this.#poll !== undefined && !this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        if (this.#poll !== undefined && this.#queue.length > 0) this.#flush();
      });
    }
    return 1;
  }

  cork(send: () => void): void {
    send();
  }

  subscribe(topic: string): boolean {
    if (this.#over || this.#subscribed.has(topic)) return false;
    this.#subscribed.add(topic);
    this.#topics.add(topic, this);
    return true;
  }

  unsubscribe(topic: string): boolean {
    if (!this.#subscribed.delete(topic)) return false;
    this.#topics.remove(topic, this);
    return true;
  }

  isSubscribed(topic: string): boolean {
    return this.#subscribed.has(topic);
  }

  publish(topic: string, frame: Frame, isBinary: boolean): boolean {
    return this.#topics.publishNative(topic, frame, isBinary);
  }

  getTopics(): string[] {
    return [...this.#subscribed];
  }

  getBufferedAmount(): number {
    return this.#queuedBytes + (this.#sending?.left ?? 0);
  }

  /** Where the client closed, a GET that waits is answered with a noop, as the protocol requires. */
  end(code: number, reason: string): void {
    if (this.#over) return;
    this.#finish(code === 1000 ? packet.noop : packet.close);
    this.#ended(code, reason);
  }

  close(): void {
    this.#queue = [];
    const sending = this.#sending;
    this.#sending = undefined;
    this.end(1006, '');
    sending?.poll.res.close();
  }

  probe(probing: boolean): void {
    this.#probing = probing;
    if (probing && this.#poll !== undefined) this.#answer([packet.noop]);
  }

  /** Moves topics and then packets to the WebSocket. In this order no packet is lost or overtaken. */
  moveTo(to: Wire): void {
    const queue = this.#queue;
    const topics = this.getTopics();
    for (const topic of topics) to.subscribe(topic);
    this.#queue = [];
    this.#finish(packet.noop);
    for (const frame of queue) to.send(frame, typeof frame !== 'string', worthCompressing(frame));
  }

  #finish(last: Frame): void {
    this.#over = true;
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const topic of this.#subscribed) this.#topics.remove(topic, this);
    this.#subscribed.clear();
    if (this.#poll !== undefined) this.#answer([...queue, last]);
  }

  #flush(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#answer(queue);
  }

  #answer(frames: readonly Frame[]): void {
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    const { res, headers } = poll;
    const text = encodePayload(frames);
    if (text.length < inPartsBytes) return answer(res, { status: 200, headers, body: text });
    const body = Buffer.from(text);
    const sending = { poll, left: body.byteLength };
    this.#sending = sending;
    answerInParts(res, { headers, body }, (left) => {
      sending.left = left;
      if (left === 0 && this.#sending === sending) this.#sending = undefined;
    });
  }
}
