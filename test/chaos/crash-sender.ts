import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { socketQuery } from '../support/raw-client.ts';

export interface SentMessage {
  readonly id: string;
  readonly room: string;
  readonly body: string;
  /** From the first ack; 0 before it. */
  seq: number;
}

interface Ack {
  readonly ok: boolean;
  readonly seq?: number;
  readonly error?: { code: string; retryable: boolean };
}

export interface SenderOptions {
  /** Where the server is now; another address after each restart. */
  readonly url: () => string;
  readonly token: string;
  readonly rooms: readonly string[];
  /** Sends that wait for their ack at a time. */
  readonly window: number;
  /** One of so many sends is a message that was acknowledged before, sent again. */
  readonly resendEvery: number;
  /** New messages a second, at most; as fast as acks come if left out. */
  readonly perSecond?: number;
  /** From the loss of a connection to the next try; 20 ms if left out. */
  readonly reconnectMs?: () => number;
}

/** The wait before a refused send is repeated. */
const retryMs = 100;

/**
 * Sends as fast as acks come. After a lost connection the sender connects again, and repeats all messages without an ack with
 * the same ids. Now and then the sender also repeats a message with an ack.
 *
 * connecting → (connected) → sending → (lost) → connecting … → (finish: everything has its ack) → done.
 */
export class Sender {
  readonly messages: SentMessage[] = [];
  acks = 0;
  /** As of `performance.now()`. */
  ackedAt = 0;
  /** Highest seq of each room that was acknowledged. */
  readonly heads = new Map<string, number>();
  resends = 0;
  reconnects = 0;
  /** Broken promises, in words. */
  readonly faults: string[] = [];
  readonly #options: SenderOptions;
  #ws: WebSocket | undefined;
  #waiting = new Map<number, SentMessage>();
  #unacked = new Set<SentMessage>();
  #next = 0;
  #finishing = false;
  #done: (() => void) | undefined;
  /** CONNECT was answered: commands before that would end the connection. */
  #live = false;
  #beganAt = 0;
  #pace: NodeJS.Timeout | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  start(): void {
    const ws = new WebSocket(`${this.#options.url().replace('http', 'ws')}/socket.io/?${socketQuery}`);
    this.#ws = ws;
    ws.on('message', (data: Buffer) => this.#frame(data.toString('utf8')));
    ws.on('error', () => {}); // a close follows
    ws.on('close', () => this.#lost());
  }

  /** Resolves when every message has its ack; nothing new is sent from here on. */
  finish(): Promise<void> {
    this.#finishing = true;
    return new Promise((resolve) => {
      this.#done = resolve;
      this.#settle();
    });
  }

  #lost(): void {
    this.#ws = undefined;
    this.#live = false;
    this.#waiting.clear();
    if (this.#finishing && this.#unacked.size === 0) return;
    this.reconnects++;
    setTimeout(() => this.start(), this.#options.reconnectMs?.() ?? 20);
  }

  #frame(frame: string): void {
    if (frame === '2') this.#ws?.send('3');
    else if (frame.startsWith('0{')) this.#ws?.send(`40${JSON.stringify({ token: this.#options.token })}`);
    else if (frame.startsWith('40')) {
      this.#live = true;
      for (const message of this.#unacked) this.#send(message);
      this.#begin();
      this.#fill();
    } else if (frame.startsWith('44')) this.#ws?.terminate();
    else if (frame.startsWith('43')) {
      const at = frame.indexOf('[');
      const number = Number(frame.slice(2, at));
      const message = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (message !== undefined) this.#ack(message, (JSON.parse(frame.slice(at)) as [Ack])[0]);
      this.#fill();
      this.#settle();
    }
  }

  #ack(message: SentMessage, { ok, seq = 0, error }: Ack): void {
    if (ok) {
      this.acks++;
      if (message.seq !== 0 && message.seq !== seq) {
        this.faults.push(`${message.id} in ${message.room} was ${message.seq}, and is ${seq} when it is sent again`);
      }
      message.seq = seq;
      this.ackedAt = performance.now();
      this.heads.set(message.room, Math.max(seq, this.heads.get(message.room) ?? 0));
      this.#unacked.delete(message);
    } else if (error?.retryable === true) {
      // meanwhile it may have been sent with all others, on another connection
      setTimeout(() => message.seq === 0 && this.#send(message), retryMs);
    } else this.faults.push(`${message.id} in ${message.room} was refused: ${error?.code}`);
  }

  #begin(): void {
    if (this.#options.perSecond === undefined || this.#pace !== undefined) return;
    this.#beganAt = performance.now();
    this.#pace = setInterval(() => this.#fill(), 20);
  }

  #mayWrite(): boolean {
    const { window, perSecond = Infinity } = this.#options;
    if (this.#finishing || !this.#live) return false;
    if (this.#waiting.size >= window || this.#unacked.size >= window) return false;
    return this.messages.length < ((performance.now() - this.#beganAt) / 1000) * perSecond;
  }

  #fill(): void {
    while (this.#mayWrite()) {
      const acked = Math.floor(Math.random() * this.messages.length);
      const old = this.messages[acked];
      if (old !== undefined && old.seq !== 0 && this.#next % this.#options.resendEvery === 0) {
        this.resends++;
        this.#send(old);
        continue;
      }
      const { rooms } = this.#options;
      const room = rooms[Math.floor(Math.random() * rooms.length)] ?? '';
      const message = { id: randomUUID(), room, body: `message ${this.messages.length}`, seq: 0 };
      this.messages.push(message);
      this.#unacked.add(message);
      this.#send(message);
    }
  }

  #send(message: SentMessage): void {
    if (!this.#live) return;
    const number = this.#next++;
    this.#waiting.set(number, message);
    const { room, id, body } = message;
    this.#ws?.send(`42${number}${JSON.stringify(['message:send', { room, id, body }])}`);
  }

  #settle(): void {
    if (!this.#finishing || this.#unacked.size > 0 || this.#waiting.size > 0) return;
    clearInterval(this.#pace);
    this.#ws?.close();
    this.#done?.();
  }
}
