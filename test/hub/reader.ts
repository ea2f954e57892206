/**
 * A member of one room that follows the protocol and nothing more. The reader keeps the messages of the room in order, pulls
 * with `sync` at a gap or at `behind`, and begins again at `reset`. A reader can stop reading, as a phone in a tunnel does.
 */
import { WebSocket } from 'ws';
import { socketQuery } from '../support/raw-client.ts';

export interface Received {
  readonly seq: number;
  readonly id: string;
  readonly body: unknown;
}

interface Page {
  readonly messages: readonly (Received & { rev: number })[];
  readonly rev: number;
  readonly more: boolean;
  readonly reset?: boolean;
}

export interface ReaderOptions {
  /** The address of the server. A function is called for each connect, for one of several servers. */
  readonly url: string | (() => string);
  readonly token: () => Promise<string> | string;
  readonly room: string;
  /** Each message as its event comes, not those that are pulled. */
  readonly onLive?: (message: Received) => void;
  /** Comes back after a close, with its cursor, so many milliseconds later. */
  readonly reconnectMs?: () => number;
}

type Ack = Record<string, unknown> & { ok: boolean };

export class Reader {
  readonly messages: Received[] = [];
  cursor = 0;
  /** Events that came out of order: each is something that was lost on the way. */
  gaps = 0;
  /** The moments of `drain` events. */
  readonly drains: number[] = [];
  behinds = 0;
  /** How often the reader began again, from the first message of the room. */
  resets = 0;
  signals = 0;
  opened = 0;
  ready = false;
  onReady = (): void => {};
  closes: { code: number; reason: string }[] = [];
  readonly #options: ReaderOptions;
  readonly #acks = new Map<number, (ack: Ack) => void>();
  #ws: WebSocket | undefined;
  #next = 1;
  /** The epoch of the cursor. */
  #epoch: string | undefined;
  #pulling = false;
  #missed = false;
  #ended = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#open();
  }

  stopReading(): void {
    this.#ws?.pause();
  }

  readOn(): void {
    this.#ws?.resume();
  }

  /** Without any goodbye. */
  cut(): void {
    this.#ws?.terminate();
  }

  close(): void {
    this.#ended = true;
    this.#ws?.terminate();
  }

  command(name: string, input: unknown): Promise<Ack> {
    const id = this.#next++;
    if (!this.ready) return Promise.resolve({ ok: false });
    return new Promise((resolve) => {
      this.#acks.set(id, resolve);
      this.#ws?.send(`42${id}${JSON.stringify([name, input])}`);
    });
  }

  /** Sends one message, again and again with the same id, until it is acknowledged. @returns the codes it was refused with. */
  async send(body: unknown): Promise<string[]> {
    const input = { room: this.#options.room, id: crypto.randomUUID(), body };
    const refusals: string[] = [];
    for (;;) {
      const ack = await this.command('message:send', input);
      if (ack.ok) return refusals;
      refusals.push((ack['error'] as { code: string } | undefined)?.code ?? 'closed');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #open(): void {
    const { url } = this.#options;
    const base = typeof url === 'string' ? url : url();
    const ws = new WebSocket(`${base.replace('http', 'ws')}/socket.io/?${socketQuery}`);
    this.#ws = ws;
    this.opened += 1;
    ws.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) void this.#frame(data.toString('utf8'));
    });
    ws.on('error', () => {}); // a close follows
    ws.on('close', (code, reason) => {
      this.closes.push({ code, reason: reason.toString() });
      this.ready = false;
      this.#pulling = false;
      this.#missed = false;
      for (const settle of this.#acks.values()) settle({ ok: false });
      this.#acks.clear();
      const wait = this.#options.reconnectMs?.();
      if (wait !== undefined) setTimeout(() => this.#ended || this.#open(), wait).unref();
    });
  }

  async #frame(frame: string): Promise<void> {
    if (frame === '2') this.#ws?.send('3');
    else if (frame.startsWith('0')) this.#ws?.send(`40${JSON.stringify({ token: await this.#options.token() })}`);
    else if (frame.startsWith('43')) this.#ack(frame);
    else if (frame.startsWith('42')) this.#event(JSON.parse(frame.slice(2)) as [string, never]);
  }

  #ack(frame: string): void {
    const start = frame.indexOf('[');
    const id = Number(frame.slice(2, start));
    this.#acks.get(id)?.((JSON.parse(frame.slice(start)) as [Ack])[0]);
    this.#acks.delete(id);
  }

  #event([name, data]: [string, never]): void {
    if (name === 'message') this.#message(data);
    else if (name === 'behind') {
      this.behinds += 1;
      void this.#pull();
    } else if (name === 'signal') this.signals += 1;
    else if (name === 'drain') this.drains.push((data as { after: number }).after);
    else if (name === 'ready') {
      this.ready = true;
      this.onReady();
      const { rooms, epoch } = data as { rooms: { id: string; rev: number }[]; epoch: string };
      this.#epoch ??= epoch;
      const head = rooms.find(({ id }) => id === this.#options.room)?.rev ?? 0;
      if (head > this.cursor || this.#missed || epoch !== this.#epoch) void this.#pull();
    }
  }

  #message(message: Received & { room: string; rev: number }): void {
    if (message.room !== this.#options.room || message.rev <= this.cursor) return;
    if (this.#pulling || !this.ready) {
      this.#missed = true;
    } else if (message.rev === this.cursor + 1) {
      this.cursor = message.rev;
      this.messages.push({ seq: message.seq, id: message.id, body: message.body });
    } else {
      this.gaps += 1;
      void this.#pull();
    }
    this.#options.onLive?.(message);
  }

  async #pull(): Promise<void> {
    this.#missed = true;
    if (this.#pulling) return;
    this.#pulling = true;
    const life = this.opened;
    for (let more = true; more || this.#missed;) {
      this.#missed = false;
      const { room } = this.#options;
      const ack = await this.command('sync', { cursors: { [room]: this.cursor }, epoch: this.#epoch });
      if (life !== this.opened || !this.ready) return;
      if (!ack.ok) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (life !== this.opened || !this.ready) return;
        this.#missed = true;
        continue;
      }
      const page = (ack['rooms'] as Record<string, Page>)[room];
      this.#epoch = ack['epoch'] as string;
      if (page?.reset === true) {
        this.resets += 1;
        this.messages.length = this.cursor = 0;
        this.#missed = true;
        continue;
      }
      for (const { seq, id, body } of page?.messages ?? []) this.messages.push({ seq, id, body });
      this.cursor = page?.rev ?? this.cursor;
      more = page?.more ?? false;
    }
    this.#pulling = false;
  }
}
