import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Parley } from '../browser/parley.ts';
import { until } from '../support/until.ts';
import { Chromium, chromiumMakes } from './chromium.ts';
import { Client, type Make } from './client.ts';
import { nodeMakes, plainMake } from './makes.ts';

let parley: Parley;
let chromium: Chromium;
/** The client on the other side: one for each make, because the rate of a connection is limited. */
let witness: Client;

const makes: readonly Make[] = [...nodeMakes, plainMake, ...chromiumMakes(() => chromium)];

beforeAll(async () => {
  [parley, chromium] = await Promise.all([Parley.start(), Chromium.start()]);
}, 120_000);
afterAll(async () => {
  await chromium?.stop();
  await parley?.stop();
});

async function token(name: string): Promise<string> {
  return (await parley.guest(name)).token;
}

/** A room that the witness is in. */
async function roomOf(client: Client, name: string): Promise<string> {
  const { room } = await client.ok('room:create', { kind: 'channel', name });
  await witness.ok('room:join', { room: room.id });
  return room.id;
}

const bytes = { $bytes: [0, 1, 254, 255] };
const signalData = { blob: bytes, list: [1, { empty: { $bytes: [] } }, 'Grüße 👋'] };
const bodies = (messages: readonly { body: unknown }[]): unknown[] => messages.map(({ body }) => body);
const seqs = (messages: readonly { seq: number }[]): number[] => messages.map(({ seq }) => seq);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

async function enterWitness(): Promise<void> {
  witness = await Client.ready(plainMake, parley.url, await token('witness'));
}

describe.each(makes)('$title', (make) => {
  beforeAll(enterWitness);
  afterAll(() => witness.close());

  it('gets the reason of a refused connect', async () => {
    const client = await Client.open(make, parley.url, 'no token of ours');
    const refusal = await until('CONNECT is refused', async () => (await client.interop.state()).refusal);
    expect(refusal).toMatchObject({ data: { code: 'unauthorized', retryable: false } });
    await client.close();
  });

  it('sends, is acknowledged, receives others, and passes binary both ways', async () => {
    const client = await Client.ready(make, parley.url, await token('somebody'));
    const room = await roomOf(client, 'both');
    for (let n = 1; n <= 5; n++) {
      expect(await client.send(room, { n, text: 'Grüße 👋' })).toMatchObject({ seq: 2 * n - 1, rev: 2 * n - 1 });
      expect(await witness.send(room, { n, from: 'witness' })).toMatchObject({ seq: 2 * n, rev: 2 * n });
    }
    const own = await client.messages(room, 10);
    expect(seqs(own)).toEqual(upTo(10));
    expect(own).toEqual(await witness.messages(room, 10));
    expect(own[0]).toMatchObject({ body: { n: 1, text: 'Grüße 👋' } });

    const before = (await witness.received('signal')).length;
    await client.ok('signal', { room, name: 'blob', data: signalData });
    expect(await witness.event('signal', before + 1)).toMatchObject({ room, name: 'blob', data: signalData });
    await witness.ok('signal', { room, name: 'back', data: signalData });
    expect(await client.event('signal')).toMatchObject({ room, name: 'back', data: signalData });
    await until('it is on its transport', async () => (await client.interop.state()).transport === make.transport);
    expect(await client.interop.state()).toMatchObject({ disconnects: 0, refusal: null });
    await client.close();
  });

  it('gets the messages of its absence, once and in order', async () => {
    const own = await token('traveller');
    const client = await Client.ready(make, parley.url, own);
    const room = await roomOf(client, 'away');
    await client.send(room, 1);
    const [first] = await client.messages(room, 1);
    await client.close();
    for (let n = 2; n <= 30; n++) await witness.send(room, n);

    const back = await Client.ready(make, parley.url, own);
    const { rooms } = await back.event('ready');
    expect(rooms.find(({ id }) => id === room)).toMatchObject({ rev: 30, seq: 30 });
    const missed: number[] = [];
    for (let rev = first?.rev ?? 0, more = true; more;) {
      const part = (await back.ok('sync', { cursors: { [room]: rev }, limit: 10 })).rooms[room];
      if (part === undefined) throw new Error('the room is left out');
      missed.push(...seqs(part.messages));
      ({ rev, more } = part);
    }
    expect(missed).toEqual(upTo(30).slice(1));
    expect(await back.received('message')).toEqual([]);
    await back.close();
  });
});

it('has all of them in one room, where each receives each message once, in order, and again after the server was killed', async () => {
  await enterWitness();
  const clients = await Promise.all(
    makes.map(async (make, n) => Client.ready(make, parley.url, await token(`member ${n}`))),
  );
  const [first] = clients as [Client];
  const room = await roomOf(first, 'all');
  await Promise.all(clients.slice(1).map((client) => client.ok('room:join', { room })));
  const each = 8;
  await Promise.all(
    clients.map(async (client, n) => {
      for (let k = 0; k < each; k++) await client.send(room, `${n}:${k}`);
    }),
  );
  const total = clients.length * each;
  const reference = await witness.messages(room, total);
  expect(seqs(reference)).toEqual(upTo(total));
  for (const client of clients) expect(await client.messages(room, total)).toEqual(reference);
  // of one sender, in the order of sending
  for (let n = 0; n < clients.length; n++) {
    const own = (bodies(reference) as string[]).filter((body) => body.startsWith(`${n}:`));
    expect(own).toEqual(Array.from({ length: each }, (_, k) => `${n}:${k}`));
  }

  await parley.kill();
  await parley.start();
  const all = [...clients, witness];
  for (const client of all) {
    const ready = await client.event('ready', 2);
    expect(ready.rooms.find(({ id }) => id === room)).toMatchObject({ seq: total });
  }
  await Promise.all(clients.map((client, n) => client.send(room, `after ${n}`)));
  for (const client of all) {
    const messages = await client.messages(room, total + clients.length);
    expect(seqs(messages)).toEqual(upTo(total + clients.length));
    expect((await client.interop.state()).disconnects).toBe(1);
  }
  await Promise.all(all.map((client) => client.close()));
  expect(chromium.troubles).toEqual([]);
}, 180_000);
