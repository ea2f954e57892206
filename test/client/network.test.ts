/**
 * The SDK over a network that loses, delays, doubles and cuts, compared with the server's truth.
 *
 * `PARLEY_NETWORK_MINUTES=5` for the long form, `PARLEY_NETWORK_SEED` for the run that failed: faults and deeds are the
 * same then, their interleaving is the machine's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, memoryStore, ParleyError } from '../../src/client/index.ts';
import type { Client, Message, Store } from '../../src/client/index.ts';
import { Random } from '../hostile/fuzz/random.ts';
import { startServer, tokenOf } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { FaultyNetwork } from './faulty-network.ts';

const minutes = Number(process.env['PARLEY_NETWORK_MINUTES'] ?? 0);
const runMs = minutes > 0 ? minutes * 60_000 : 15_000;
const seed = Number(process.env['PARLEY_NETWORK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const faults = { drop: 0.01, double: 0.05, delay: 0.1, cut: 0.004, swallow: 0.0005, longestDelayMs: 200 };
const rooms = ['one', 'two', 'three'];
const emoji = ['👍', '🎉', '🦭', '❤️'];
/** One device only, so that it does not run ahead of the network. */
const maxWaiting = 20;

interface Body {
  readonly by: string;
  readonly n: number;
  readonly edit: number;
}

/** One device of one user: writes, changes what it wrote, reads, and is closed and started again with the same store. */
class Device {
  readonly name: string;
  readonly user: string;
  readonly store: Store = memoryStore();
  readonly written: Record<string, number> = {};
  readonly acked = new Map<string, number>();
  readonly refused: string[] = [];
  /** The messages of the iteration over each room since the last start. An iteration continues after the one before. */
  readonly read = new Map<string, number[]>(rooms.map((room) => [room, []]));
  starts = 0;
  waiting = 0;
  client: Client;
  readonly #url: string;
  readonly #random: Random;
  #reading: Promise<void>[] = [];

  constructor(name: string, user: string, url: string, random: Random) {
    this.name = name;
    this.user = user;
    this.#url = url;
    this.#random = random;
    this.client = this.#start();
  }

  #start(): Client {
    this.starts += 1;
    const client = connect({
      url: this.#url,
      token: () => tokenOf(this.user),
      user: this.user,
      store: this.store,
      WebSocket,
      timeoutMs: 2000,
    });
    this.#reading = rooms.map((room) => this.#readOn(client, room));
    return client;
  }

  async #readOn(client: Client, room: string): Promise<void> {
    const seqs = this.read.get(room) ?? [];
    for await (const { seq } of client.room(room).messages.after(seqs.at(-1) ?? 0)) seqs.push(seq);
  }

  async restart(): Promise<void> {
    await this.close();
    this.client = this.#start();
  }

  async close(): Promise<void> {
    this.client.close();
    await Promise.all(this.#reading);
  }

  /** One deed; what the network does to it is not waited for. */
  act(): void {
    if (this.waiting >= maxWaiting) return;
    const id = this.#random.pick(rooms);
    const room = this.client.room(id);
    const own = room.messages.value.filter(({ from, body }) => from === this.user && body !== null);
    const what = this.#random.int(100);
    if (what < 60 || own.length === 0) return this.#send(id);
    const { seq, body } = this.#random.pick(own);
    const any = this.#random.pick(room.messages.value).seq;
    if (what < 72) this.#try(room.edit(seq, { ...(body as unknown as Body), edit: this.#random.int(1000) }));
    else if (what < 76) this.#try(room.delete(seq));
    else if (what < 88) this.#try(room.react(any, this.#random.pick(emoji)));
    else if (what < 94) this.#try(room.unreact(any, this.#random.pick(emoji)));
    else if (what < 96) this.#try(room.loadOlder());
    else room.markRead();
  }

  #send(id: string): void {
    const n = (this.written[id] ?? 0) + 1;
    this.written[id] = n;
    this.waiting += 1;
    this.client
      .room(id)
      .send({ by: this.name, n, edit: 0 } satisfies Body)
      .then(
        ({ seq }) => void this.acked.set(`${id} ${n}`, seq),
        // After a close, the store has the message.
        (error: ParleyError) => error.code !== 'unavailable' && this.refused.push(`${id} ${n}: ${error.message}`),
      )
      .finally(() => (this.waiting -= 1));
  }

  /** Edits and reactions may be lost with a connection; and what is deleted meanwhile is not found. */
  #try(deed: Promise<unknown>): void {
    this.waiting += 1;
    deed
      .catch((error: unknown) => {
        const expected = error instanceof ParleyError && (error.retryable || error.code === 'not_found');
        if (!expected) this.refused.push(String(error));
      })
      .finally(() => (this.waiting -= 1));
  }
}

let server: TestServer;
let network: FaultyNetwork;
let devices: Device[] = [];
const direct: Client[] = [];

beforeAll(async () => {
  server = await startServer({
    PARLEY_PING_INTERVAL_MS: '2000',
    PARLEY_PING_TIMEOUT_MS: '2000',
    // the comparison at the end reads each history many times
    PARLEY_COMMANDS_PER_SECOND: '1000',
    PARLEY_COMMAND_BURST: '100000',
  });
  network = await FaultyNetwork.start(server.url, seed, faults);
});
afterAll(async () => {
  for (const client of direct) client.close();
  await Promise.all(devices.map((device) => device.close()));
  await network?.stop();
  await server?.stop();
});

/** A user beside the faulty network. */
function directly(user: string): Client {
  const client = connect({ url: server.url, token: () => tokenOf(user), WebSocket });
  direct.push(client);
  return client;
}

async function revOf(room: string): Promise<number> {
  const [row] = await server.database.sql<{ rev: number }[]>`select last_rev::int as rev from rooms where id = ${room}`;
  return row?.rev ?? -1;
}

async function truthFor(client: Client, room: string): Promise<{ messages: Message[]; rev: number }> {
  const messages: Message[] = [];
  for (let after = 0; ;) {
    const page = await client.call('history', { room, after, limit: 100 });
    messages.push(...page.messages);
    if (!page.more) return { messages, rev: page.rev };
    after = page.after ?? after;
  }
}

it(
  'ends with the truth of the server on every device, each message there once',
  async () => {
    const users = ['ann', 'ben', 'cid'];
    const truths = new Map(users.map((user) => [user, directly(user)]));
    for (const id of rooms) await truths.get('ann')?.createRoom({ kind: 'channel', id, name: id });
    for (const client of truths.values()) for (const id of rooms) await client.joinRoom(id);
    devices = ['ann', 'ann', 'ben', 'ben', 'cid'].map(
      (user, at) => new Device(`${user} ${at}`, user, network.url, new Random(seed, 1_000_000 + at)),
    );
    const random = new Random(seed, 2_000_000);
    for (const end = Date.now() + runMs; Date.now() < end; await delay(25)) {
      for (const device of devices) if (random.chance(0.5)) device.act();
      if (random.chance(0.008)) await random.pick(devices).restart();
    }
    network.heal();
    for (const device of devices) device.client.wake();
    await until(
      'all is sent',
      () => devices.every(({ client }) => rooms.every((id) => client.room(id).state.value.outgoing.length === 0)),
      60_000,
    );

    let messages = 0;
    let changes = 0;
    for (const id of rooms) {
      for (const device of devices) {
        const found = await until(
          'it is up to date',
          async () => {
            const cursor = device.client.room(id).cursor;
            if (cursor !== (await revOf(id))) return undefined;
            const truth = await truthFor(truths.get(device.user) as Client, id);
            return cursor === truth.rev && truth;
          },
          30_000,
        );
        const view = device.client.room(id).messages.value;
        const expected = found.messages.slice((view[0]?.seq ?? 0) - 1);
        // With thousands of messages, `toEqual` takes seconds. This process, which is also the server, would miss its
        // heartbeat.
        if (!isDeepStrictEqual(view, expected)) expect(view, `seed ${seed}, ${device.name} in ${id}`).toEqual(expected);
      }
      const { messages: truth, rev } = await truthFor(truths.get('ann') as Client, id);
      messages += truth.length;
      changes += rev - truth.length;
      const seqs = truth.map(({ seq }) => seq);
      expect(seqs.join()).toBe(Array.from({ length: truth.length }, (_, at) => at + 1).join());
      for (const device of devices) {
        // Each written message is there once and in the order of writing, unless it was deleted.
        const own = truth.filter(({ body }) => (body as Body | null)?.by === device.name);
        const numbers = own.map(({ body }) => (body as unknown as Body).n);
        const rising = [...new Set(numbers)].sort((a, b) => a - b);
        expect(numbers.join(), `seed ${seed}, order of ${device.name}`).toBe(rising.join());
        for (const [key, seq] of device.acked) {
          if (!key.startsWith(`${id} `)) continue;
          const body = truth[seq - 1]?.body as Body | null | undefined;
          const there = body === null || (body?.by === device.name && `${id} ${body.n}` === key);
          if (!there)
            expect.fail(
              `seed ${seed}: ${device.name} received that ${key} is ${seq}, where ${JSON.stringify(body)} is`,
            );
        }
        // The client may wait for a repetition of a lost request. The checks below find every fault.
        await until('it has read all', () => device.read.get(id)?.length === truth.length, 30_000).catch(
          () => undefined,
        );
        expect(device.read.get(id)?.join(), `seed ${seed}, what ${device.name} read`).toBe(seqs.join());
      }
      const all = devices.reduce((sum, { written }) => sum + (written[id] ?? 0), 0);
      expect(truth.length, `seed ${seed}, messages of ${id}`).toBe(all);
    }
    for (const { refused } of devices) expect(refused, `seed ${seed}`).toEqual([]);
    const acked = devices.reduce((sum, device) => sum + device.acked.size, 0);
    const starts = devices.reduce((sum, device) => sum + device.starts, 0);
    console.log(
      'network',
      JSON.stringify({ seed, seconds: runMs / 1000, messages, acked, changes, starts, ...network.figures }),
    );
    expect(network.figures.cut + network.figures.swallowed).toBeGreaterThan(0);
    expect(network.figures.dropped).toBeGreaterThan(0);
  },
  runMs + 150_000,
);
