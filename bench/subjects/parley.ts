/** Parley on one node, and on three that share a Postgres and a Redis. */
import { findBinaries } from '../../test/support/binaries.ts';
import { LoadClient } from '../client.ts';
import { parleyUrl, parleyWith, tokensFile, type Context } from '../context.ts';
import { frames } from '../frames.ts';
import type { Membership } from '../postgres.ts';
import { startRedis } from '../redis.ts';
import { startParley, type Server } from '../servers.ts';
import { targetOf, userOf, type Crowd, type Running, type Subject } from './subject.ts';

/** Without SQL, members join one after the other over the wire, at some hundreds a second. */
const mostWithoutSql = 1500;

const membershipsOf = (crowd: Crowd): Membership[] =>
  crowd.rooms.flatMap((rooms, i) => rooms.map((room) => ({ room, user: userOf(crowd, i) })));

export const parley: Subject = {
  name: 'parley',
  title: 'Parley',
  missing: () => undefined,
  cannot: (context, crowd) =>
    parleyUrl(context) === undefined && membershipsOf(crowd).length > mostWithoutSql
      ? 'needs a Postgres: so many members are made by SQL only'
      : undefined,
  async open(shared, crowd) {
    const context = await withOwnDatabase(shared);
    const prepared = await parleyWith(context, membershipsOf(crowd));
    const url = parleyUrl(context);
    if (crowd.does !== 'nothing' || url === undefined) return running(context, crowd, [prepared], []);
    // the garbage of making the tables and the embedded database is no cost of a connection
    await prepared.child.stop();
    return running(context, crowd, [await startParley(context.lab, context.parley, url)], []);
  },
};

export const parleyOnThreeNodes: Subject = {
  name: 'parley3',
  title: 'Parley, three nodes, Redis',
  missing(context) {
    if (parleyUrl(context) === undefined) return 'needs a Postgres that three nodes can share';
    if (findBinaries('redis-server').length === 0) return 'redis-server is not installed';
    return undefined;
  },
  async open(shared, crowd) {
    const context = await withOwnDatabase(shared);
    const prepared = await parleyWith(context, membershipsOf(crowd));
    await prepared.child.stop();
    const redis = await startRedis(context.lab);
    const servers: Server[] = [];
    for (const node of ['a', 'b', 'c']) {
      const env = { REDIS_URL: redis.url, PARLEY_REDIS_PREFIX: `bench-${crowd.name}:`, PARLEY_NODE: node };
      servers.push(await startParley(context.lab, context.parley, parleyUrl(context), env));
    }
    return running(context, crowd, servers, [redis.pid]);
  },
};

/** One node and three run at the same time, and so do servers whose memory is measured. */
const withOwnDatabase = async (context: Context): Promise<Context> =>
  typeof context.database === 'string' ? context : { ...context, database: await context.database.another() };

async function running(
  context: Context,
  crowd: Crowd,
  servers: readonly Server[],
  others: readonly number[],
): Promise<Running> {
  const users = crowd.rooms.map((_, i) => userOf(crowd, i));
  const rooms = await context.lab.file(
    `${crowd.name}-rooms`,
    users.map((_, i) => targetOf(crowd, i)),
  );
  const pids = [...servers.map(({ child }) => child.pid), ...others];
  return {
    pids,
    connect: async (count = users.length) =>
      LoadClient.connect(context.lab, {
        port: servers.map(({ port }) => port),
        serverPid: pids,
        dialect: 'sio',
        connections: count,
        upPrefix: '42["ready"',
        countPrefix: '42["',
        // New tokens each time: a known token costs 2 µs and not the 55 µs of its signature.
        tokens: await tokensFile(context, crowd.name, users),
        rooms,
        command: frames.signal,
      }),
    async stop() {
      for (const { child } of servers) await child.stop();
    },
  };
}
