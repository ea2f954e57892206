/** Reads of users share few connections to Postgres: whoever asks for many does not stand in front of the others. */
import { expect, it } from 'vitest';
import { total } from '../support/metrics.ts';
import { startServer, tokenOf } from '../support/server.ts';
import { connectStock, text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

it('a user with one read is served before the second read of a user with eight; what waits too long is refused', async () => {
  const server = await startServer({ PARLEY_DATABASE_READ_POOL_SIZE: '1', PARLEY_DATABASE_READ_WAIT_MS: '3000' });
  const [ann, ben] = [
    await connectStock(server.url, await tokenOf('ann')),
    await connectStock(server.url, await tokenOf('ben')),
  ];
  await ann.ok('room:create', { kind: 'channel', name: 'R', id: 'r' });
  await ben.ok('room:join', { room: 'r' });
  await ann.ok('message:send', text('r', { text: 'x' }));
  const { sql } = server.database;
  const order: string[] = [];
  const ask = (name: string, client: typeof ann): Promise<unknown> =>
    client.ok('history', { room: 'r' }).then(() => order.push(name));
  let asked: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    asked = Array.from({ length: 8 }, () => ask('ann', ann));
    await until('the first one waits in Postgres', async () => {
      const [row] = await tx<{ n: number }[]>`select count(*)::int as n from pg_locks where not granted`;
      return (row?.n ?? 0) > 0;
    });
    asked.push(ask('ben', ben));
    await until('all have been taken', async () => (await ben.ok('session:list', {})).complete);
  });
  await Promise.all(asked);
  expect(order.indexOf('ben')).toBeLessThan(2);

  const refusals: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    asked = [ask('ann', ann)];
    refusals.push(ben.error('history', { room: 'r' }), ben.error('history', { room: 'r' }));
    expect(await Promise.all(refusals)).toMatchObject([{ code: 'overloaded' }, { code: 'overloaded' }]);
  });
  await Promise.all(asked);
  expect(total(await server.metrics(), 'parley_turns_refused_total')).toBeGreaterThan(0);
  for (const client of [ann, ben]) client.close();
  await server.stop();
});
