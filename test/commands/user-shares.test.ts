/** The limits of one user over all connections: each is reached, then passed by one, and no other user notices. */
import { afterEach, expect, it } from 'vitest';
import { openRaw, type RawClient } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let eves: StockClient[];
let ann: StockClient;
const raws: RawClient[] = [];
afterEach(async () => {
  for (const client of [...eves, ann]) client.close();
  for (const { ws } of raws.splice(0)) ws.terminate();
  await server.stop();
});

/** Two connections of one user, and a neighbour in a room with them. */
async function start(env: Record<string, string>): Promise<void> {
  server = await startServer(env);
  const token = await tokenOf('eve');
  eves = [await connectStock(server.url, token), await connectStock(server.url, token)];
  ann = await connectStock(server.url, await tokenOf('ann'));
  await ann.ok('room:create', { kind: 'channel', name: 'hall', id: 'hall' });
}

const refused = async (limit: string): Promise<number> =>
  (await server.metrics()).get(`parley_user_refused_total{limit="${limit}"}`) ?? 0;

/** The two connections take turns. @returns how many went well before the first that did not, and its error. */
async function alternate(
  most: number,
  send: (eve: StockClient, n: number) => Promise<unknown>,
): Promise<{ went: number; error: string }> {
  for (let n = 0; n < most; n++) {
    const eve = eves[n % 2] as StockClient;
    try {
      await send(eve, n);
    } catch (error) {
      return { went: n, error: (error as Error).message };
    }
  }
  return { went: most, error: '' };
}

it('commands of one user are limited over all connections', async () => {
  await start({ PARLEY_COMMAND_BURST_PER_USER: '10', PARLEY_COMMANDS_PER_SECOND_PER_USER: '1' });
  // each counts as one
  const { went, error } = await alternate(20, (eve) => eve.ok('presence:unwatch', {}));
  expect(went).toBeGreaterThanOrEqual(10);
  expect(went).toBeLessThan(14);
  expect(error).toContain('rate_limited');
  expect(await refused('commands')).toBe(1);
  const reported = await eves[0]?.error('presence:unwatch', {});
  expect(reported).toMatchObject({ code: 'rate_limited', retryable: true });
  expect(reported?.retryAfter).toBeGreaterThan(0);
  await ann.ok('presence:unwatch', {});
});

it('signals of one user are limited over all connections', async () => {
  await start({ PARLEY_SIGNAL_BURST_PER_USER: '6', PARLEY_SIGNALS_PER_SECOND_PER_USER: '1' });
  await eves[0]?.ok('room:join', { room: 'hall' });
  await until('both are in', () => eves.every((eve) => eve.received('member').length > 0));
  const { went, error } = await alternate(20, (eve) => eve.ok('signal', { room: 'hall', name: 'typing' }));
  expect(went).toBeGreaterThanOrEqual(6);
  expect(went).toBeLessThan(9);
  expect(error).toContain('rate_limited');
  expect(await refused('signals')).toBe(1);
  await ann.ok('signal', { room: 'hall', name: 'typing' });
});

it('bytes that one user sends are limited over all connections', async () => {
  await start({ PARLEY_BYTES_IN_PER_SECOND_PER_USER: '4k' });
  await eves[0]?.ok('room:join', { room: 'hall' });
  // the bytes of two seconds at once
  const { went, error } = await alternate(30, (eve) => eve.ok('message:send', text('hall', 'x'.repeat(2000))));
  expect(went).toBeGreaterThanOrEqual(3);
  expect(went).toBeLessThan(8);
  expect(error).toContain('rate_limited');
  expect(await refused('bytes_in')).toBe(1);
  await ann.ok('message:send', text('hall', 'x'.repeat(4096)));
});

it('bytes of attachments count too', async () => {
  await start({ PARLEY_BYTES_IN_PER_SECOND_PER_USER: '4k' });
  await eves[0]?.ok('room:join', { room: 'hall' });
  await until('both are in', () => eves.every((eve) => eve.received('member').length > 0));
  const data = Buffer.alloc(3000);
  const { went, error } = await alternate(20, (eve) => eve.ok('signal', { room: 'hall', name: 'picture', data }));
  expect(went).toBeGreaterThanOrEqual(2);
  expect(went).toBeLessThan(6);
  expect(error).toContain('rate_limited');
  expect(await refused('bytes_in')).toBe(1);
});

it('bytes that one user gets in large answers are limited over all connections: sync counts by what it returns', async () => {
  await start({ PARLEY_BYTES_OUT_PER_SECOND_PER_USER: '2k' });
  for (let n = 0; n < 5; n++) await ann.ok('message:send', text('hall', 'x'.repeat(2000)));
  await eves[0]?.ok('room:join', { room: 'hall' });
  const { went, error } = await alternate(30, (eve) => eve.ok('sync', { cursors: { hall: 0 } }));
  // two answers of 10 kB are 20 kB; the next one waits until the debt is paid
  expect(went).toBeGreaterThanOrEqual(2);
  expect(went).toBeLessThan(4);
  expect(error).toContain('rate_limited');
  expect(await refused('bytes_out')).toBe(1);
  await eves[0]?.ok('message:send', text('hall', 'small answers go on'));
  await ann.ok('sync', { cursors: { hall: 0 } });
});

it('rooms that one user creates, joins and leaves are limited over all connections', async () => {
  await start({ PARLEY_JOINS_PER_MINUTE_PER_USER: '4' });
  const { went, error } = await alternate(10, (eve, n) =>
    n % 2 === 0 ? eve.ok('room:join', { room: 'hall' }) : eve.ok('room:leave', { room: 'hall' }),
  );
  expect([went, error.includes('rate_limited')]).toEqual([4, true]);
  expect(await eves[0]?.error('room:create', { kind: 'channel', name: 'mine' })).toMatchObject({
    code: 'rate_limited',
  });
  await ann.ok('room:create', { kind: 'channel', name: 'hers' });
});

it('users that one user adds or invites are limited over all connections', async () => {
  await start({ PARLEY_INVITATIONS_PER_MINUTE_PER_USER: '3' });
  await eves[0]?.ok('room:create', { kind: 'group', name: 'mine', id: 'mine' });
  await ann.ok('room:invite', { room: 'hall', user: 'eve', role: 'admin' });
  const { went, error } = await alternate(10, (eve, n) =>
    n % 2 === 0
      ? eve.ok('room:invite', { room: 'mine', user: `guest-${n}` })
      : eve.ok('invitation:create', { room: 'mine', user: `guest-${n}` }),
  );
  expect([went, error.includes('rate_limited')]).toEqual([3, true]);
  await ann.ok('room:invite', { room: 'hall', user: 'ben', role: 'member' });
});

it('messages of one user are limited by default', async () => {
  await start({ PARLEY_COMMANDS_PER_SECOND_PER_USER: '1', PARLEY_COMMAND_BURST_PER_USER: '1000' });
  await eves[0]?.ok('room:join', { room: 'hall' });
  const { went, error } = await alternate(80, (eve, n) => eve.ok('message:send', text('hall', n)));
  expect([went, error.includes('rate_limited')]).toEqual([60, true]);
  await ann.ok('message:send', text('hall', 'mine'));
});

async function knock(): Promise<RawClient> {
  const raw = await openRaw(server.url, { localAddress: '127.0.0.3' });
  raws.push(raw);
  await raw.next('0{');
  return raw;
}

it('refused CONNECTs of one address are limited over all connections, and good ones are not', async () => {
  await start({ PARLEY_COMMANDS_PER_SECOND_PER_ADDRESS: '1' });
  const strangers = await Promise.all([1, 2, 3].map(knock));
  // ten at once, spread over three connections; one more closes its connection
  for (let n = 0; (await refused('address')) === 0; n++) {
    expect(n).toBeLessThan(14);
    const raw = strangers[n % 3] as RawClient;
    raw.send('40{"token":"none"}');
    await raw.next('44{');
  }
  await until('a connection is closed', () => strangers.some((raw) => raw.closed() !== undefined));
  const closed = strangers.find((raw) => raw.closed() !== undefined);
  expect(closed?.closed()).toEqual({ code: 4429, reason: 'rate_limited' });
  expect(await refused('address')).toBe(1);
  const good = await knock();
  good.send(`40${JSON.stringify({ token: await tokenOf('ben') })}`);
  await good.next('42["ready"');
});
