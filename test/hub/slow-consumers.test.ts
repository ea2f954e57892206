/** Clients that stop reading cost the server little, the others nothing, and end with the room's exact content. */
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Client, type Socket } from '../../src/client/index.ts';
import { total } from '../support/metrics.ts';
import { connectRaw, socketQuery } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { Reader } from './reader.ts';

/** Kernel buffers come first and take megabytes, so what is sent is large. */
const large = 'x'.repeat(15_000);
const freeOfRates = {
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMAND_BURST: '1000000',
  PARLEY_SIGNALS_PER_SECOND: '1000000',
  PARLEY_SIGNAL_BURST: '1000000',
};

let server: TestServer;
let sender: StockClient;
let readers: Reader[] = [];
const clients: Client[] = [];

async function join(user: string, room: string, options: { reconnectMs?: () => number } = {}): Promise<Reader> {
  const stock = await connectStock(server.url, await tokenOf(user));
  await stock.ok('room:join', { room });
  stock.close();
  const reader = new Reader({ url: server.url, token: () => tokenOf(user), room, ...options });
  readers.push(reader);
  await until(`${user} is there`, () => reader.ready);
  return reader;
}

/** Sends at full speed, 20 under way, until the condition holds. */
async function sendUntil(what: string, room: string, condition: () => boolean | Promise<boolean>): Promise<number> {
  let over = false;
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (!over) {
      await sender.ok('message:send', text(room, { n: sent++, large }));
      sender.events.length = 0;
    }
  };
  const lanes = Array.from({ length: 20 }, lane);
  await until(what, condition, 40_000).finally(() => (over = true));
  await Promise.all(lanes);
  return sent;
}

async function stored(room: string): Promise<{ seq: number; id: string }[]> {
  return server.database.sql<{ seq: number; id: string }[]>`
    select seq::int as seq, id from messages where room_id = ${room} order by seq`;
}

async function expectWhole(room: string, reader: Reader): Promise<void> {
  const content = await stored(room);
  await until('it has caught up', () => reader.messages.length >= content.length, 30_000);
  expect(reader.messages.map(({ seq, id }) => ({ seq, id }))).toEqual(content);
}

const steps = async (step: string): Promise<number> =>
  (await server.metrics()).get(`parley_slow_consumers_total{step="${step}"}`) ?? 0;

const closedAsSlow = async (): Promise<number> =>
  (await server.metrics()).get('parley_connections_closed_total{reason="slow_consumer"}') ?? 0;

afterAll(async () => {
  sender.close();
  await server.stop();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const reader of readers) reader.close();
  readers = [];
  await until(
    'only the sender is connected',
    async () => (await server.metrics()).get('parley_connections') === (sender.socket.connected ? 1 : 0),
  );
});

describe('on a server with low limits, clients that stop reading', () => {
  beforeAll(async () => {
    server = await startServer({
      PARLEY_SOFT_BUFFERED_BYTES: '64k',
      PARLEY_BEHIND_BUFFERED_BYTES: '8m',
      PARLEY_MAX_BUFFERED_BYTES: '64m',
      PARLEY_MAX_UNSENT_BYTES_PER_USER: '64m',
      PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS: '1g',
      ...freeOfRates,
    });
    sender = await connectStock(server.url, await tokenOf('sender'));
    for (const id of ['full', 'quiet', 'gone', 'sdk', 'busy', 'still'])
      await sender.ok('room:create', { kind: 'channel', name: id, id });
  });

  it('get no signals first, and get them again when their buffers have drained', async () => {
    const slow = await join('quiet-slow', 'quiet');
    const well = await join('quiet-well', 'quiet');
    slow.stopReading();
    await sendUntil('it is behind', 'quiet', async () => (await steps('behind')) > 0);
    expect(await steps('quiet')).toBe(1);
    slow.readOn();
    await expectWhole('quiet', slow);
    await until('it is well', async () => (await steps('recovered')) === 1);
    const before = total(await server.metrics(), 'parley_signals_dropped_total');
    await sender.ok('signal', { room: 'quiet', name: 'wave' });
    await until('both have it', () => slow.signals > 0 && well.signals > 0);
    expect(total(await server.metrics(), 'parley_signals_dropped_total')).toBe(before);
  }, 60_000);

  it('lose signals, then events for `behind`, and pull to the exact content; the others lose nothing', async () => {
    const all = await Promise.all(Array.from({ length: 40 }, (_, i) => join(`full-${i}`, 'full')));
    const slow = all.slice(0, 8);
    const before = { quiet: await steps('quiet'), behind: await steps('behind') };
    const dropped = async (): Promise<number> => total(await server.metrics(), 'parley_signals_dropped_total');
    for (const reader of slow) reader.stopReading();
    await until('all eight get no more signals', async () => {
      for (let i = 0; i < 10; i++) await sender.ok('signal', { room: 'full', name: 'wave', data: large });
      return (await steps('quiet')) === before.quiet + 8;
    });
    const droppedBefore = await dropped();
    await sender.ok('signal', { room: 'full', name: 'wave' });
    expect(await dropped()).toBe(droppedBefore + 8);
    expect(await steps('behind')).toBe(before.behind);
    await sendUntil('all eight are behind', 'full', async () => (await steps('behind')) === before.behind + 8);
    await sender.ok('message:send', text('full', 'the message that causes `behind`'));
    for (const reader of slow) reader.readOn();
    for (const reader of all) await expectWhole('full', reader);
    for (const reader of all.slice(8)) expect([reader.gaps, reader.behinds, reader.opened]).toEqual([0, 0, 1]);
    for (const reader of slow) {
      expect(reader.behinds).toBeGreaterThan(0);
      expect([reader.gaps, reader.opened]).toEqual([0, 1]);
    }
    // back on the room: what is sent now comes by itself
    const pulls = total(await server.metrics(), 'parley_ack_seconds_count{command="sync"}');
    await sender.ok('message:send', text('full', 'to all'));
    for (const reader of all) await expectWhole('full', reader);
    expect(total(await server.metrics(), 'parley_ack_seconds_count{command="sync"}')).toBe(pulls);
  }, 120_000);

  it('get nothing more of a room that they left, and may end while they are off a room', async () => {
    const [leaver, cut] = [await join('gone-leaver', 'gone'), await join('gone-cut', 'gone')];
    const before = await steps('behind');
    leaver.stopReading();
    cut.stopReading();
    await sendUntil('both are behind', 'gone', async () => (await steps('behind')) >= before + 2);
    const reported = await steps('told');
    void leaver.command('room:leave', { room: 'gone' });
    cut.cut();
    await until('one is no member, the other no connection', async () => {
      const [row] = await server.database.sql`select 1 from members where room_id = 'gone' and user_id = 'gone-leaver'`;
      return row === undefined && (await server.metrics()).get('parley_connections') === 2;
    });
    await sender.ok('message:send', text('gone', 'no connection gets it'));
    expect(await steps('told')).toBe(reported);
    const head = leaver.cursor;
    leaver.readOn();
    await until('it has read all that waited', async () => (await leaver.command('room:list', {})).ok);
    expect(leaver.cursor).toBeGreaterThanOrEqual(head);
    expect(leaver.cursor).toBeLessThan((await stored('gone')).length);
  }, 60_000);

  it('get events that no pull brings, and return to rooms in which they missed nothing', async () => {
    const slow = await connectRaw(server.url, await tokenOf('still-slow'));
    for (const room of ['busy', 'still']) {
      slow.send(`421${JSON.stringify(['room:join', { room }])}`);
      await slow.next('431[{"ok":true');
    }
    const before = { behind: await steps('behind'), recovered: await steps('recovered') };
    slow.ws.pause();
    await sendUntil('it is behind', 'busy', async () => (await steps('behind')) > before.behind);
    await sender.ok('message:send', text('busy', 'the message that causes `behind`'));
    for (const room of ['busy', 'still']) await sender.ok('room:update', { room, topic: 'meanwhile' });
    slow.ws.resume();
    await until('it is well', async () => (await steps('recovered')) > before.recovered);
    await slow.next('42["behind",{"room":"busy"');
    for (const room of ['busy', 'still']) await slow.next(`42["room",{"room":"${room}"`);
    await sender.ok('signal', { room: 'still', name: 'wave' });
    await slow.next('42["signal",{"room":"still"');
    await sender.ok('message:send', text('still', 'comes by itself'));
    await slow.next('42["message",{"room":"still"');
    await slow.close();
  }, 60_000);

  it('are brought up to date by the SDK', async () => {
    const open: WebSocket[] = [];
    class Pausable extends WebSocket implements Socket {
      constructor(url: string) {
        super(url);
        open.push(this);
      }
    }
    const client = connect({ url: server.url, token: () => tokenOf('sdk-user', {}), WebSocket: Pausable });
    clients.push(client);
    let behinds = 0;
    client.on('behind', () => (behinds += 1));
    await client.joinRoom('sdk');
    const room = client.room('sdk');
    await until('the room is open', () => room.state.value.status === 'ready');
    const before = await steps('behind');
    open[0]?.pause();
    await sendUntil('it is behind', 'sdk', async () => (await steps('behind')) > before);
    await sender.ok('message:send', text('sdk', 'the message that causes `behind`'));
    open[0]?.resume();
    const content = await stored('sdk');
    await until('it holds all', () => room.state.value.messages.length === content.length, 30_000);
    expect(room.state.value.messages.map(({ seq, id }) => ({ seq, id }))).toEqual(content);
    expect(behinds).toBeGreaterThan(0);
    await sender.ok('message:send', text('sdk', 'live again'));
    await until('it is live', () => room.state.value.messages.at(-1)?.body === 'live again');
    expect(open).toHaveLength(1);
  }, 60_000);
});

describe('over the hard limit', () => {
  beforeAll(async () => {
    sender.close();
    await server.stop();
    server = await startServer({
      PARLEY_SOFT_BUFFERED_BYTES: '1g',
      PARLEY_BEHIND_BUFFERED_BYTES: '1g',
      PARLEY_MAX_BUFFERED_BYTES: '256k',
      ...freeOfRates,
    });
    sender = await connectStock(server.url, await tokenOf('sender'));
    for (const id of ['hard', 'poll']) await sender.ok('room:create', { kind: 'channel', name: id, id });
  });

  it('a client is closed, is counted as a slow consumer, and comes back with its cursor to the exact content', async () => {
    const [slow, well] = [await join('hard-slow', 'hard', { reconnectMs: () => 50 }), await join('hard-well', 'hard')];
    slow.stopReading();
    await sendUntil('it is closed', 'hard', async () => (await closedAsSlow()) === 1);
    slow.readOn();
    await until('it is back', () => slow.opened === 2 && slow.ready);
    await expectWhole('hard', slow);
    await expectWhole('hard', well);
    expect([well.gaps, well.opened]).toEqual([0, 1]);
  }, 60_000);

  it('a client of long-polling that does not poll is closed and counted too', async () => {
    const base = `${server.url}/socket.io/?${socketQuery.replace('websocket', 'polling')}`;
    const greeting = await (await fetch(base)).text();
    const { sid } = JSON.parse(greeting.slice(1)) as { sid: string };
    const at = `${base}&sid=${sid}`;
    const post = (body: string): Promise<Response> => fetch(at, { method: 'POST', body });
    await post(`40${JSON.stringify({ token: await tokenOf('poller') })}`);
    await until('it is in the room', async () => (await (await fetch(at)).text()).includes('"ready"'));
    await post('421["room:join",{"room":"poll"}]');
    await until('it has joined', async () => (await (await fetch(at)).text()).includes('431['));
    const before = await closedAsSlow();
    await sendUntil('it is closed', 'poll', async () => (await closedAsSlow()) === before + 1);
    expect((await fetch(at)).status).toBe(400);
    const raw = await connectRaw(server.url, await tokenOf('poller'));
    await raw.close();
  }, 60_000);
});
