/**
 * node --import tsx bench/compression.ts [--messages 1000] [--clients 200]      (build first; Linux, a real Postgres)
 * The cost of permessage-deflate for the server, and its saving for the network. The clients of a room request compression,
 * and get messages of about 2 KB of chat, with PARLEY_COMPRESSION off and shared in one run.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { cpuSeconds, Lab, rssBytes } from './lab.ts';
import { openPostgres, seed } from './postgres.ts';
import { startParley, token } from './servers.ts';

const { values: args } = parseArgs({
  options: { messages: { type: 'string', default: '1000' }, clients: { type: 'string', default: '200' } },
});
const [messages, clients] = [Number(args.messages), Number(args.clients)];
/** Names, times and words, as chat has them: no noise, and no repeated letter. */
const words = 'the deploy is done and all nodes answer, see you at lunch then? yes, in ten minutes by the door'.split(
  ' ',
);
const line = (i: number): string =>
  Array.from({ length: 380 }, (_, n) => words[(i * 7 + n * n) % words.length]).join(' ');

const lab = await Lab.open();
const database = await openPostgres();
try {
  if (typeof database === 'string') throw new Error(database);
  const main = join(import.meta.dirname, '../dist/main.js');
  for (const mode of ['off', 'shared', 'off', 'shared']) {
    await lab.within(async () => {
      const server = await startParley(lab, { main, nodeFlags: [] }, database.url, { PARLEY_COMPRESSION: mode });
      const room = `room-${mode}-${Date.now()}`;
      const users = Array.from({ length: clients }, (_, i) => `user-${i}`);
      await seed(
        database,
        users.map((user) => ({ room, user })),
      );
      const before = await rssBytes(server.child.pid);
      const sockets = await Promise.all(users.map((user) => open(server.port, user)));
      const [first] = sockets as [Client];
      const bytes = (): number => sockets.reduce((all, { ws }) => all + socketOf(ws).bytesRead, 0);
      const [cpu, read] = [await cpuSeconds(server.child.pid), bytes()];
      const from = performance.now();
      for (let i = 0; i < messages; i++) {
        const id = crypto.randomUUID();
        first.ws.send(`42["message:send",${JSON.stringify({ room, id, body: { text: line(i) } })}]`);
        while (first.received < i - 16) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      while (sockets.some(({ received }) => received < messages))
        await new Promise((resolve) => setTimeout(resolve, 5));
      const deliveries = messages * clients;
      const used = (await cpuSeconds(server.child.pid)) - cpu;
      console.log(
        `${mode.padEnd(6)}  ${((used / deliveries) * 1e6).toFixed(1)} µs of the server a delivery, ` +
          `${((bytes() - read) / deliveries).toFixed(0)} bytes on the wire, ` +
          `RSS + ${(((await rssBytes(server.child.pid)) - before) / 1e6).toFixed(0)} MB, ` +
          `${(deliveries / ((performance.now() - from) / 1000)).toFixed(0)} deliveries/s (the clients in Node are the bottleneck)`,
      );
      for (const { ws } of sockets) ws.terminate();
    });
  }
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

interface Client {
  readonly ws: WebSocket;
  received: number;
}

function socketOf(ws: WebSocket): Socket {
  return (ws as unknown as { _socket: Socket })._socket;
}

async function open(port: number, user: string): Promise<Client> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: true });
  const client: Client = { ws, received: 0 };
  const ready = new Promise<void>((resolve) => {
    ws.on('message', (data: Buffer) => {
      const packet = data.toString();
      if (packet.startsWith('0')) ws.send(`40${JSON.stringify({ token: token(user) })}`);
      else if (packet === '2') ws.send('3');
      else if (packet.startsWith('42["message"')) client.received++;
      else if (packet.startsWith('42["ready"')) resolve();
    });
  });
  await Promise.race([ready, once(ws, 'close').then(() => Promise.reject(new Error(`${user} was disconnected`)))]);
  return client;
}
