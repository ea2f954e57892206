/** A WebSocket proxy that loses, delays, doubles and cuts, by a seed: each connection has a stream of random numbers of its own. */
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { Random } from '../hostile/fuzz/random.ts';

/** Shares of all frames. */
export interface Faults {
  readonly drop: number;
  readonly double: number;
  readonly delay: number;
  /** The connection is reset. */
  readonly cut: number;
  /** Nothing passes any more, in either direction, and neither side notices. */
  readonly swallow: number;
  readonly longestDelayMs: number;
}

export class FaultyNetwork {
  readonly figures = { connections: 0, frames: 0, dropped: 0, doubled: 0, delayed: 0, cut: 0, swallowed: 0 };
  readonly url: string;
  readonly #server: WebSocketServer;
  readonly #target: string;
  readonly #seed: number;
  readonly #open = new Set<WebSocket>();
  #faults: Faults | undefined;

  private constructor(server: WebSocketServer, target: string, seed: number, faults: Faults) {
    this.#server = server;
    this.#target = target;
    this.#seed = seed;
    this.#faults = faults;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (near, request) => this.#pass(near, request.url ?? ''));
  }

  static async start(target: string, seed: number, faults: Faults): Promise<FaultyNetwork> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await new Promise((resolve) => server.once('listening', resolve));
    return new FaultyNetwork(server, target, seed, faults);
  }

  /** From now on everything passes. Open connections would never notice their losses, so they are cut. */
  heal(): void {
    this.#faults = undefined;
    for (const socket of this.#open) socket.terminate();
  }

  async stop(): Promise<void> {
    this.heal();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(near: WebSocket, path: string): void {
    const far = new WebSocket(this.#target.replace(/^http/, 'ws') + path);
    const random = new Random(this.#seed, this.figures.connections);
    this.figures.connections += 1;
    let swallowing = false;
    for (const socket of [near, far]) {
      this.#open.add(socket);
      // The end of one side ends the other.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open.delete(socket);
        near.terminate();
        far.terminate();
      });
    }
    const opened = new Promise((resolve) => far.once('open', resolve));
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      // One after the other: delays keep the order, as TCP does.
      let lane: Promise<unknown> = opened;
      from.on('message', (data: Buffer) => {
        const frame = data.toString();
        lane = lane.then(async () => {
          swallowing ||= this.#chance(random, 'swallow', 'swallowed');
          if (swallowing || this.#chance(random, 'drop', 'dropped')) return;
          if (this.#chance(random, 'cut', 'cut')) near.terminate();
          if (this.#chance(random, 'delay', 'delayed')) await delay(random.int(this.#faults?.longestDelayMs ?? 1));
          this.figures.frames += 1;
          to.send(frame, () => undefined);
          // Events, acks and commands; a second CONNECT would be an error of the client's.
          if (/^4[23]/.test(frame) && this.#chance(random, 'double', 'doubled')) to.send(frame, () => undefined);
        });
      });
    }
  }

  #chance(
    random: Random,
    kind: Exclude<keyof Faults, 'longestDelayMs'>,
    counted: keyof FaultyNetwork['figures'],
  ): boolean {
    const happens = this.#faults !== undefined && random.chance(this.#faults[kind]);
    if (happens) this.figures[counted] += 1;
    return happens;
  }
}
