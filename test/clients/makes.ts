/** Clients in this process: the stock ones, and one that needs nothing but a WebSocket. */
import { WebSocket } from 'ws';
import { describeKind, stockKinds, transportOf, type Interop, type Make } from './client.ts';
import * as driver from './driver.ts';
import type { Received } from './driver.ts';

export const nodeMakes: readonly Make[] = stockKinds.map((kind) => ({
  title: `${describeKind(kind)}, in Node`,
  transport: transportOf(kind),
  open(url, token) {
    const id = driver.open(url, token, kind);
    return Promise.resolve({
      received: (from) => Promise.resolve(driver.received(id, from)),
      state: () => Promise.resolve(driver.state(id)),
      command: (name, input) => driver.command(id, name, input),
      close: () => Promise.resolve(driver.close(id)),
    });
  },
}));

export const plainMake: Make = {
  title: 'a plain WebSocket',
  transport: 'websocket',
  open: (url, token) => Promise.resolve(new Plain(url, token)),
};

/** The protocol of `docs/protocol.md` in a page of code. */
class Plain implements Interop {
  readonly #url: string;
  readonly #token: string;
  readonly #received: Received[] = [];
  readonly #acks = new Map<string, (answer: unknown) => void>();
  #ws: WebSocket;
  #requested = 0;
  #refusal: unknown = null;
  #disconnects = 0;
  #connected = false;
  #closed = false;
  /** A binary event whose attachments are coming. */
  #partial: { json: string; count: number; buffers: Buffer[] } | undefined = undefined;

  constructor(url: string, token: string) {
    this.#url = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    this.#token = token;
    this.#ws = this.#connect();
  }

  received(from: number): Promise<Received[]> {
    return Promise.resolve(this.#received.slice(from));
  }

  state(): Promise<{ transport: string; refusal: unknown; disconnects: number }> {
    return Promise.resolve({ transport: 'websocket', refusal: this.#refusal, disconnects: this.#disconnects });
  }

  command(name: string, input: unknown): Promise<unknown> {
    const id = String(++this.#requested);
    const buffers: Uint8Array[] = [];
    const json = JSON.stringify([name, input], (_, value: unknown) => {
      if (typeof value !== 'object' || value === null || !('$bytes' in value)) return value;
      return { _placeholder: true, num: buffers.push(Uint8Array.from(value.$bytes as number[])) - 1 };
    });
    return new Promise((resolve) => {
      this.#acks.set(id, resolve);
      this.#ws.send(buffers.length === 0 ? `42${id}${json}` : `45${buffers.length}-${id}${json}`);
      for (const buffer of buffers) this.#ws.send(buffer);
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#ws.close();
    return Promise.resolve();
  }

  #connect(): WebSocket {
    const ws = new WebSocket(this.#url);
    ws.on('error', () => {}); // a close follows
    ws.on('close', () => {
      if (this.#closed) return;
      if (this.#connected) this.#disconnects++;
      this.#connected = false;
      setTimeout(() => {
        if (!this.#closed) this.#ws = this.#connect();
      }, 50);
    });
    ws.on('message', (data: Buffer, isBinary) => (isBinary ? this.#attachment(data) : this.#frame(String(data))));
    return ws;
  }

  #frame(text: string): void {
    if (text.startsWith('0')) this.#ws.send(`40${JSON.stringify({ token: this.#token })}`);
    else if (text === '2') this.#ws.send('3');
    else if (text.startsWith('40')) this.#connected = true;
    else if (text.startsWith('44')) this.#refusal = JSON.parse(text.slice(2));
    else if (text.startsWith('42')) this.#event(text.slice(2), []);
    else if (text.startsWith('45')) {
      const dash = text.indexOf('-');
      this.#partial = { json: text.slice(dash + 1), count: Number(text.slice(2, dash)), buffers: [] };
    } else if (text.startsWith('43')) {
      const at = text.indexOf('[');
      const [answer] = JSON.parse(text.slice(at)) as unknown[];
      this.#acks.get(text.slice(2, at))?.(answer);
      this.#acks.delete(text.slice(2, at));
    }
  }

  #attachment(data: Buffer): void {
    const partial = this.#partial;
    if (partial === undefined) throw new Error('binary that no packet announced');
    if (partial.buffers.push(data) < partial.count) return;
    this.#partial = undefined;
    this.#event(partial.json, partial.buffers);
  }

  #event(json: string, buffers: readonly Buffer[]): void {
    const [name, data] = JSON.parse(json, (_, value: unknown) => {
      if (typeof value !== 'object' || value === null || !('_placeholder' in value) || !('num' in value)) return value;
      return driver.written(buffers[Number(value.num)]);
    }) as [string, unknown];
    this.#received.push({ name, data });
  }
}
