/** Honest clients beside the attack: one sends and receives, one receives by long-polling. The attack may disturb none of them. */
import { io, type Socket } from 'socket.io-client';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../support/until.ts';

export interface Latency {
  readonly messages: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

type Ack = { ok: boolean; seq?: number };

export class Neighbours {
  readonly #sender: Socket;
  readonly #listener: Socket;
  readonly #faults: string[] = [];
  readonly #latencies: number[] = [];
  readonly #received = new Map<Socket, number>();
  #sent = 0;
  #going = true;
  #sending: Promise<void> = Promise.resolve();

  constructor(url: string, tokens: { sender: string; listener: string }) {
    const options = { forceNew: true, reconnection: false };
    this.#sender = io(url, { ...options, transports: ['websocket'], auth: { token: tokens.sender } });
    this.#listener = io(url, { ...options, transports: ['polling'], auth: { token: tokens.listener } });
    for (const socket of [this.#sender, this.#listener]) {
      socket.on(
        'disconnect',
        (reason) => this.#going && this.#faults.push(`a neighbour lost its connection: ${reason}`),
      );
      socket.on('message', ({ room, body }: { room: string; body: unknown }) => {
        if (room !== 'calm') return;
        const next = (this.#received.get(socket) ?? 0) + 1;
        this.#received.set(socket, next);
        if (body !== next) this.#faults.push(`heard ${JSON.stringify(body)} where ${next} was due`);
      });
    }
  }

  async start(): Promise<void> {
    const ready = [this.#sender, this.#listener].map(
      (socket) => new Promise<void>((resolve) => socket.once('ready', () => resolve())),
    );
    await Promise.all(ready);
    const make = { kind: 'group', name: 'Calm', id: 'calm' };
    const invite = { room: 'calm', user: 'listener' };
    for (const [name, input] of [
      ['room:create', make],
      ['room:invite', invite],
    ] as const) {
      const { ok } = (await this.#sender.emitWithAck(name, input)) as Ack;
      if (!ok) throw new Error(`${name} failed`);
    }
    this.#sending = this.#send();
  }

  /** The faults so far. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** Waits until all messages have come. The connections stay, and their end is no fault from now on. */
  async finish(): Promise<Latency> {
    this.#going = false;
    await this.#sending;
    for (const socket of [this.#sender, this.#listener]) {
      await until(
        'all that was sent is heard',
        () => this.#faults.length > 0 || this.#received.get(socket) === this.#sent,
      );
    }
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
    return { messages: this.#sent, p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  leave(): void {
    for (const socket of [this.#sender, this.#listener]) socket.disconnect();
  }

  async #send(): Promise<void> {
    while (this.#going && this.#faults.length === 0) {
      const body = ++this.#sent;
      const from = performance.now();
      const input = { room: 'calm', id: crypto.randomUUID(), body };
      try {
        const { ok, seq } = (await this.#sender.timeout(30_000).emitWithAck('message:send', input)) as Ack;
        if (!ok || seq !== body) this.#faults.push(`message ${body} was acked with ${ok} and seq ${seq}`);
      } catch (error) {
        this.#faults.push(`message ${body} was not acked: ${String(error)}`);
      }
      this.#latencies.push(performance.now() - from);
      await delay(10);
    }
  }
}
