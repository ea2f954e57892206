/** A few hundred stock clients that send without pause and come back by themselves, with their messages afterwards. */
import type postgres from 'postgres';
import { openStock, connectStock, type StockClient } from './stock-client.ts';
import { tokenOf } from './test-token.ts';
import { until } from './until.ts';

export interface CrowdOptions {
  readonly url: string;
  readonly users: number;
  readonly rooms: number;
  /** Stock clients begin with long-polling where they are left to their defaults. */
  readonly transports?: readonly ('polling' | 'websocket')[];
}

export interface CrowdReport {
  readonly acked: number;
  readonly reconnects: number;
  /** Attempts to connect that failed; each client tries again by itself. */
  readonly failedConnects: number;
  /** Broken promises, in words. */
  readonly faults: readonly string[];
}

interface Sent {
  readonly room: string;
  readonly id: string;
  seq: number;
}

const answerMs = 3000;

export class Crowd {
  readonly #clients: StockClient[];
  readonly #rooms: readonly string[];
  readonly #sent: Sent[] = [];
  readonly #faults: string[] = [];
  #acks = 0;
  #connects = 0;
  #failedConnects = 0;
  #leaving = false;
  #senders: Promise<void>[] = [];

  private constructor(clients: StockClient[], rooms: readonly string[]) {
    this.#clients = clients;
    this.#rooms = rooms;
    for (const { socket } of clients) {
      socket.on('connect', () => this.#connects++);
      socket.on('connect_error', () => this.#failedConnects++);
    }
  }

  get acks(): number {
    return this.#acks;
  }

  /** Makes the rooms, joins them, and begins to send. */
  static async enter({ url, users, rooms, transports }: CrowdOptions): Promise<Crowd> {
    const names = Array.from({ length: rooms }, (_, n) => `crowd-${n}`);
    const host = await connectStock(url, await tokenOf('host'));
    for (const id of names) await host.ok('room:create', { kind: 'channel', id, name: id });
    host.close();
    const clients: StockClient[] = [];
    for (let n = 0; n < users; n++) {
      const token = await tokenOf(`crowd-${n}`);
      clients.push(
        openStock(url, { token }, { reconnection: true, ...(transports === undefined ? {} : { transports }) }),
      );
    }
    const crowd = new Crowd(clients, names);
    await until('all are connected', () => clients.every((client) => client.received('ready').length > 0), 60_000);
    crowd.#connects = 0;
    crowd.#senders = clients.map((client, n) => crowd.#run(client, names[n % rooms] ?? ''));
    return crowd;
  }

  /** Sends the last ones until they are acknowledged, and compares what everybody has with what is stored. */
  async leave(sql: postgres.Sql): Promise<CrowdReport> {
    this.#leaving = true;
    await Promise.all(this.#senders);
    await this.#compare(sql);
    for (const client of this.#clients) client.close();
    const [reconnects, failedConnects] = [this.#connects, this.#failedConnects];
    return { acked: this.#sent.length, reconnects, failedConnects, faults: this.#faults.slice(0, 20) };
  }

  async #run(client: StockClient, room: string): Promise<void> {
    await this.#insist(client, 'room:join', { room });
    while (!this.#leaving) {
      const message: Sent = { room, id: crypto.randomUUID(), seq: 0 };
      const ack = await this.#insist(client, 'message:send', { room, id: message.id, body: 'x' });
      message.seq = ack.seq ?? 0;
      this.#sent.push(message);
      this.#acks++;
    }
  }

  /** The same command again until it is acknowledged: connections go, and a server on its way out says `draining`. */
  async #insist(client: StockClient, name: string, input: object): Promise<{ seq?: number }> {
    for (;;) {
      await until('it is connected', () => client.socket.connected, 60_000);
      const ack = (await client.socket
        .timeout(answerMs)
        .emitWithAck(name, input)
        .catch(() => undefined)) as
        { ok: boolean; seq?: number; error?: { code: string; retryable: boolean } } | undefined;
      if (ack?.ok === true) return ack;
      if (ack?.error?.retryable === false) {
        this.#faults.push(`${name} was refused: ${ack.error.code}`);
        return {};
      }
    }
  }

  async #compare(sql: postgres.Sql): Promise<void> {
    const rows = await sql<{ roomId: string; id: string; seq: number }[]>`
      select room_id as "roomId", id, seq from messages where room_id like 'crowd-%' order by room_id, seq`;
    const stored = new Map(rows.map((row) => [row.id, row]));
    for (const { id, room, seq } of this.#sent) {
      const row = stored.get(id);
      if (row?.seq !== seq) this.#faults.push(`${room} ${seq} was acknowledged, and is ${row?.seq}`);
    }
    if (rows.length !== this.#sent.length)
      this.#faults.push(`${rows.length} are stored of ${this.#sent.length} that were sent`);
    // one of each room reads all of it, by whichever node it is on now
    for (const [n, room] of this.#rooms.entries()) {
      const expected = rows.filter((row) => row.roomId === room).map(({ id, seq }) => `${seq} ${id}`);
      const seen = await readRoom(this.#clients[n], room);
      if (seen.join() !== expected.join())
        this.#faults.push(`${room}: ${seen.length} by sync, ${expected.length} in Postgres, or in another order`);
    }
  }
}

async function readRoom(client: StockClient | undefined, room: string): Promise<string[]> {
  const seen: string[] = [];
  for (let rev = 0; client !== undefined;) {
    const page = (await client.ok('sync', { cursors: { [room]: rev }, limit: 100 })).rooms[room];
    seen.push(...(page?.messages ?? []).map((message) => `${message.seq} ${message.id}`));
    rev = page?.rev ?? rev;
    if (page?.more !== true) break;
  }
  return seen;
}
