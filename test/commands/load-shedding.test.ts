/** Over a limit a part of the work and all new connections are refused; accepted messages are stored once. */
import msgpackParser from 'socket.io-msgpack-parser';
import { afterEach, expect, it } from 'vitest';
import { connectRaw, refusedUpgrade } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

interface Answer {
  ok: boolean;
  seq?: number;
  error?: { code: string; retryable: boolean; retryAfter?: number };
}

let server: TestServer;
let client: StockClient;
afterEach(async () => {
  client.close();
  await server.stop();
});

/** Kept to the end: what is freed while the next test runs would make up for what that one takes. */
const held: Buffer[] = [];

async function start(env: Record<string, string>): Promise<void> {
  server = await startServer({
    PARLEY_COMMANDS_PER_SECOND: '1000000',
    PARLEY_COMMAND_BURST: '1000000',
    PARLEY_MAX_PENDING_COMMANDS: '100000',
    ...env,
  });
  const token = await tokenOf('ann');
  // on a busy machine the event loop is late at times, and a handshake is refused
  client = await until('it is connected', () => connectStock(server.url, token).catch(() => undefined));
}

const share = async (limit: string): Promise<number | undefined> =>
  (await server.metrics()).get(`parley_admitted_share{limit="${limit}"}`);

/** Handshakes are refused with 503, and the metric names the limit. */
async function untilRefusing(limit: string): Promise<void> {
  const refused = await until('a new connection is refused', () => refusedUpgrade(server.url).catch(() => undefined));
  expect(refused).toMatchObject({ status: 503, body: { code: 'overloaded', retryable: true, retryAfter: 2000 } });
  expect(refused.headers['retry-after']).toBe('2');
  expect(await share(limit)).toBeLessThan(1);
  const metrics = await server.metrics();
  expect(metrics.get('parley_handshakes_refused_total{reason="overload"}')).toBeGreaterThan(0);
}

it('with too many messages before the writer a share is refused, and all that are accepted are stored once', async () => {
  await start({ PARLEY_WRITER_QUEUE: '400', PARLEY_WRITER_BATCH: '5' });
  await client.ok('room:create', { kind: 'channel', name: 'Busy', id: 'busy' });
  const answers: { id: string; answer: Answer }[] = [];
  let under = 0;
  const send = ({ socket }: StockClient): void => {
    const message = text('busy', under);
    under += 1;
    socket.emit('message:send', message, (answer: Answer) => {
      under -= 1;
      answers.push({ id: message.id, answer });
    });
  };
  // one user gets three quarters of the queue, and leaves the node with places for others
  const crowd = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => connectStock(server.url, await tokenOf(`user-${n}`))),
  );
  for (const one of crowd) await one.ok('room:join', { room: 'busy' });
  let over = false;
  const flood = (async () => {
    while (!over) {
      for (let n = 0; under < 1000; n = (n + 1) % crowd.length) send(crowd[n] as StockClient);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await untilRefusing('writer').finally(() => (over = true));
  await flood;
  await until('all are answered', () => under === 0);
  await until('all is taken again', async () => (await share('none')) === 1);
  await client.ok('message:send', text('busy', 'after'));
  (await connectStock(server.url, await tokenOf('ben'))).close();
  for (const one of crowd) one.close();

  const refused = answers.filter(({ answer }) => !answer.ok);
  expect(refused.length).toBeGreaterThan(0);
  for (const { answer } of refused) {
    expect(answer.error).toMatchObject({ code: 'overloaded', retryable: true });
    expect(answer.error?.retryAfter).toBeGreaterThan(0);
  }
  const stored = await server.database.sql<{ seq: number; id: string }[]>`
    select seq::int as seq, id from messages where room_id = 'busy' order by seq`;
  expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, i) => i + 1));
  const accepted = answers.flatMap(({ id, answer }) => (answer.ok ? [{ seq: answer.seq, id }] : []));
  expect(accepted.toSorted((a, b) => (a.seq ?? 0) - (b.seq ?? 0))).toEqual(stored.slice(0, -1));
}, 60_000);

it('with an event loop that is late work is refused, and taken again when it is not', async () => {
  await start({ PARLEY_MAX_EVENT_LOOP_DELAY_MS: '60' });
  // the server is in this process: whatever is done here, its loop is late by it
  const busy = setInterval(() => {
    for (const end = performance.now() + 200; performance.now() < end;);
  }, 1);
  try {
    await untilRefusing('event_loop');
    const codes = new Set<string>();
    await until('a command is refused', async () => {
      const answer = (await client.socket.emitWithAck('room:list', {})) as Answer;
      codes.add(answer.error?.code ?? 'ok');
      return codes.has('overloaded');
    });
    expect([...codes].filter((code) => code !== 'ok')).toEqual(['overloaded']);
  } finally {
    clearInterval(busy);
  }
  await until('all is taken again', async () => (await share('none')) === 1);
  await client.ok('room:list', {});
}, 60_000);

it('with too much memory in use most work is refused, but never all of it', async () => {
  const mega = 1024 ** 2;
  await start({ PARLEY_MAX_MEMORY_BYTES: String(process.memoryUsage.rss() + 100 * mega) });
  held.push(Buffer.alloc(300 * mega, 1));
  await untilRefusing('memory');
  await until('the share is at its least', async () => (await share('memory')) === 0.05);
  await until('a command is taken', async () => {
    const answer = (await client.socket.emitWithAck('room:list', {})) as Answer;
    return answer.ok;
  });
}, 60_000);

it('an event of any form is refused and counted once, and nothing else is counted as refused', async () => {
  const mega = 1024 ** 2;
  await start({ PARLEY_MAX_MEMORY_BYTES: String(process.memoryUsage.rss() + 100 * mega) });
  const raw = await connectRaw(server.url, await tokenOf('ben'));
  const upgraded = await connectStock(server.url, await tokenOf('cid'), { transports: ['polling', 'websocket'] });
  await until('it has upgraded', () => upgraded.socket.io.engine.transport.name === 'websocket');
  const packed = await connectStock(server.url, await tokenOf('dan'), {
    parser: msgpackParser,
    query: { parser: 'msgpack' },
  });
  held.push(Buffer.alloc(300 * mega, 1));
  await untilRefusing('memory');
  await until('the share is at its least', async () => (await share('memory')) === 0.05);
  const times = Array.from({ length: 100 }, (_, n) => n + 100);

  const refused = async () => (await server.metrics()).get('parley_overloaded_total{limit="memory"}') ?? 0;
  const before = await refused();
  for (const n of times) raw.send('3', `43${n}[]`);
  await until('all have come', async () => {
    return (await server.metrics()).get('parley_stray_packets_total{packet="ack"}') === times.length;
  });
  expect(await refused()).toBe(before);

  let counted = before;
  /** Some of these answers refuse the event, and the metric counts exactly these. */
  const expectCounted = async (form: string, codes: readonly (string | undefined)[]): Promise<void> => {
    const overloaded = codes.filter((code) => code === 'overloaded').length;
    counted += overloaded;
    expect([form, overloaded > 0, await refused()]).toEqual([form, true, counted]);
  };
  const list = '["room:list",{"x":0}]';
  for (const head of ['42', '42/,', '450-', '451-']) {
    for (const space of ['', ' ']) {
      for (const n of times) {
        raw.send(`${head}${n}${space}${list}`);
        if (head === '451-') raw.ws.send(Buffer.from('x'));
      }
      const acks = await Promise.all(times.map((n) => raw.next(`43${n}[`)));
      await expectCounted(
        `${head}${space}`,
        acks.map((ack) => /"code":"(\w+)"/.exec(ack)?.[1]),
      );
    }
  }
  for (const [form, { socket }] of Object.entries({ upgraded, packed })) {
    const answers = await Promise.all(times.map(() => socket.emitWithAck('room:list', {}) as Promise<Answer>));
    await expectCounted(
      form,
      answers.map(({ error }) => error?.code),
    );
  }
  upgraded.close();
  packed.close();
  await raw.close();
}, 60_000);
