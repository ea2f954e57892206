/** One user on many connections, each of which asks again as soon as it is answered, whatever the answer is. */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { socketQuery } from '../support/raw-client.ts';

export type Ask = (n: number) => readonly [name: string, input: object];

/** Commands of one connection that wait for their answer. */
const inFlight = 8;

export class CrowdOfOne {
  readonly #url: string;
  readonly #token: string;
  readonly #size: number;
  readonly #sockets = new Set<WebSocket>();
  #ask: Ask | undefined = undefined;
  #reads = true;
  #over = false;
  /** Sent commands, and their outcomes. */
  requested = 0;
  readonly outcomes: Record<string, number> = {};

  constructor(url: string, token: string, size: number) {
    this.#url = `${url.replace('http', 'ws')}/socket.io/?${socketQuery}`;
    this.#token = token;
    this.#size = size;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Resolves when as many are connected as may. */
  async connect(): Promise<void> {
    while (this.#sockets.size < this.#size && !this.#over) {
      const missing = this.#size - this.#sockets.size;
      await Promise.all(Array.from({ length: Math.min(20, missing) }, () => this.#open()));
    }
  }

  /** All ask this for so long. @param reads false: answers are not taken off the sockets */
  async attack(ask: Ask, ms: number, reads = true): Promise<void> {
    this.#ask = ask;
    this.#reads = reads;
    for (const ws of this.#sockets) {
      if (!reads) ws.pause();
      for (let n = 0; n < inFlight; n++) this.#send(ws);
    }
    const until = performance.now() + ms;
    while (performance.now() < until) {
      // connections that do not read send by the clock, and closed ones come back
      await delay(50);
      if (!reads) for (const ws of this.#sockets) this.#send(ws);
      if (this.#sockets.size < this.#size) void this.#open();
    }
    this.#ask = undefined;
    for (const ws of this.#sockets) ws.resume();
  }

  end(): void {
    this.#over = true;
    this.#ask = undefined;
    for (const ws of this.#sockets) ws.terminate();
  }

  async #open(): Promise<void> {
    const ws = new WebSocket(this.#url);
    await new Promise<void>((resolve) => {
      ws.on('error', () => resolve());
      ws.on('close', () => {
        this.#sockets.delete(ws);
        resolve();
      });
      ws.on('message', (data: Buffer) => {
        const head = data.toString('latin1', 0, 64);
        if (head.startsWith('0')) ws.send(`40${JSON.stringify({ token: this.#token })}`);
        else if (head === '2') ws.send('3');
        else if (head.startsWith('44')) ws.terminate();
        else if (head.startsWith('42["ready"')) {
          this.#sockets.add(ws);
          if (this.#ask !== undefined && !this.#reads) ws.pause();
          resolve();
        } else if (head.startsWith('43')) {
          const outcome = /"code":"(\w+)"/.exec(data.toString('latin1', 0, 200))?.[1] ?? 'ok';
          this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
          this.#send(ws);
        }
      });
    });
  }

  #send(ws: WebSocket): void {
    if (this.#ask === undefined || ws.readyState !== ws.OPEN) return;
    const n = this.requested++;
    ws.send(`42${n}${JSON.stringify(this.#ask(n))}`);
  }
}
