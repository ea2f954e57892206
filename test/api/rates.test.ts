/** The rates of requests over two nodes, with and without Redis. */
import { afterAll, expect, it } from 'vitest';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { startRedis } from '../support/services.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';
import { request, type Answered } from './keys-routes.ts';

const redis = await startRedis();
const proxy = await startProxy(redis.url);
const cluster = await startCluster(2, { env: { PARLEY_API_TIERS: 'anonymous=100,standard=40' }, redisUrl: proxy.url });
afterAll(async () => {
  proxy.restore();
  await cluster.stop();
  await proxy.close();
  await redis.stop();
});
const { nodes } = cluster;

/** Requests of one user, to the nodes in turn. */
async function requests(user: string, count: number): Promise<Answered[]> {
  const bearer = await tokenOf(user);
  const answers: Answered[] = [];
  for (let n = 0; n < count; n++)
    answers.push(await request(nodes[n % nodes.length]?.url ?? '', 'GET', '/me', { bearer }));
  return answers;
}

const allowedOf = (answers: readonly Answered[]): number => answers.filter(({ status }) => status === 200).length;

const leftOf = ({ headers }: Answered): number => Number(/^"hour";r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);

it('a user has the limit of an hour over both nodes, and each answer says what is left', async () => {
  const answers = await requests('ann', 42);
  expect(answers.map(({ status }) => status)).toEqual([...Array.from({ length: 40 }, () => 200), 429, 429]);
  expect(answers.map(leftOf)).toEqual([...Array.from({ length: 40 }, (_, n) => 39 - n), 0, 0]);
  const refused = answers[40];
  expect(refused?.headers.get('ratelimit-policy')).toBe('"hour";q=40;w=3600');
  expect(refused?.body).toMatchObject({ code: 'rate_limited', status: 429, retryable: true });
  // the first requests are free again an hour and half a minute after them at the latest
  const wait = Number(refused?.headers.get('retry-after'));
  expect(wait).toBeGreaterThan(3500);
  expect(wait).toBeLessThanOrEqual(3630);
  expect(Math.ceil(Number(refused?.body['retryAfter']) / 1000)).toBe(wait);
  expect(allowedOf(await requests('ben', 1))).toBe(1);
});

it('without Redis each node admits its share, so that the limit is not open', async () => {
  // A node that has just started is known to the other one within two seconds.
  let probe = 0;
  await until('each node has half of the limit', async () => {
    proxy.swallow();
    const shares = (await requests(`probe-${probe++}`, 2)).map(leftOf);
    if (shares.every((left) => left === 19)) return true;
    proxy.restore();
    await until('Redis counts again', async () => (await requests(`probe-${probe++}`, 2)).map(leftOf).includes(38));
    return false;
  });
  const answers = await requests('cat', 44);
  expect(allowedOf(answers)).toBe(40);
  for (const node of nodes) expect((await node.metrics()).get('parley_rates_alone_total')).toBeGreaterThan(0);
});
