/** Backend services as users have them: an emitter, and a real Socket.IO server with its own clients on the same Redis. */
import { createAdapter } from '@socket.io/redis-adapter';
import { Emitter } from '@socket.io/redis-emitter';
import { Redis } from 'ioredis';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { inject } from 'vitest';
import { startServer, tokenOf, type TestServer } from '../../support/server.ts';
import { total } from '../../support/metrics.ts';
import { connectStock, type StockClient } from '../../support/stock-client.ts';
import { until } from '../../support/until.ts';
import msgpackParser from 'socket.io-msgpack-parser';
import { io, type Socket } from 'socket.io-client';

export interface Backends {
  readonly key: string;
  readonly redis: Redis;
  readonly emitter: Emitter;
  readonly nodes: readonly [TestServer, TestServer];
  /** Sums over both nodes. */
  counted(series: string): Promise<number>;
  stop(): Promise<void>;
}

/** Two nodes of Parley, and an emitter. */
export async function startBackends(env: Record<string, string> = {}): Promise<Backends> {
  const key = `sio-${Math.random().toString(36).slice(2)}`;
  const settings = {
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: `${key}:`,
    PARLEY_SOCKETIO_KEY: key,
    PARLEY_DRAIN_MS: '0',
    ...env,
  };
  const first = await startServer(settings);
  const second = await startServer(settings, first.database);
  const redis = new Redis(inject('redisUrl'));
  return {
    key,
    redis,
    emitter: new Emitter(redis, { key }),
    nodes: [first, second],
    async counted(series) {
      const [a, b] = await Promise.all([first.metrics(), second.metrics()]);
      return total(a, series) + total(b, series);
    },
    async stop() {
      redis.disconnect();
      await second.stop();
      await first.stop();
    },
  };
}

export interface RealServer {
  readonly io: Server;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRealServer(key: string): Promise<RealServer> {
  const pub = new Redis(inject('redisUrl'));
  const sub = pub.duplicate();
  const http = createServer();
  const server = new Server(http, { adapter: createAdapter(pub, sub, { key, requestsTimeout: 2000 }) });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const channel = `${key}-request#/#`;
  await until('it is subscribed', async () => Number(((await pub.pubsub('NUMSUB', channel)) as unknown[])[1]) >= 3);
  return {
    io: server,
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    async stop() {
      await server.close();
      pub.disconnect();
      sub.disconnect();
    },
  };
}

/** A client of Parley that keeps all arguments of what comes. */
export interface Listener {
  readonly stock: StockClient;
  readonly socket: Socket;
  readonly session: string;
  readonly came: unknown[][];
  /** The arguments of the next event of the name, come or to come. */
  received(name: string): Promise<unknown[]>;
  count(name: string): number;
}

export type Kind = 'json' | 'msgpack' | 'polling';

export async function listen(url: string, user: string, kind: Kind = 'json'): Promise<Listener> {
  const stock = kind === 'json' ? await connectStock(url, await tokenOf(user)) : await connectOther(url, user, kind);
  const came: unknown[][] = [];
  stock.socket.onAny((...args: unknown[]) => came.push(args));
  const session = stock.socket.id ?? '';
  return {
    stock,
    socket: stock.socket,
    session,
    came,
    received: (name) => until(`${user} receives ${name}`, () => came.find((args) => args[0] === name)?.slice(1)),
    count: (name) => came.filter((args) => args[0] === name).length,
  };
}

async function connectOther(url: string, user: string, kind: Kind): Promise<StockClient> {
  const socket = io(url, {
    transports: [kind === 'polling' ? 'polling' : 'websocket'],
    auth: { token: await tokenOf(user) },
    forceNew: true,
    reconnection: false,
    ...(kind === 'msgpack' ? { parser: msgpackParser, query: { parser: 'msgpack' } } : {}),
  });
  const events: { name: string; data: unknown }[] = [];
  socket.onAny((name: string, data: unknown) => events.push({ name, data }));
  await until('ready comes', () => events.find(({ name }) => name === 'ready'));
  // the methods that tests of the adapter need
  return { socket, events, close: () => socket.disconnect() } as unknown as StockClient;
}
