/** What a connection costs that does nothing: growth of the server's resident memory, each connection in 3 of 300 rooms. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LoadClient, type ClientOptions } from '../client.ts';
import { parleyUrl, parleyWith, range, tokensFile, type Context } from '../context.ts';
import { rssBytes } from '../lab.ts';
import type { Measured, RowResult } from '../rounds.ts';
import { startParley, startPeer, type Server } from '../servers.ts';

const row = 'resident memory of an idle connection in 3 rooms';
const targetBytes = 4096;

/**
 * Code that is compiled and modules that are loaded at the first connections are no cost of a connection: a few
 * hundred come and go before the baseline is taken, on every server.
 */
const rehearsal = 300;

export async function idle(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const connections = scale.idleConnections;
  const roomCount = Math.max(3, Math.round(connections / 50));
  const users = range(connections, (i) => `idle-user-${i}`);
  const roomsOf = (i: number): string[] => range(3, (k) => `idle-${(i + k * Math.floor(roomCount / 3)) % roomCount}`);
  const tokens = await tokensFile(context, 'idle', users);
  const measured: Measured[] = [];

  const measure = async (subject: string, server: Server, options: Partial<ClientOptions>): Promise<Measured> => {
    context.say(`idle connections: ${subject}`);
    const common = { port: server.port, serverPid: server.child.pid, dialect: 'sio', ...options } as const;
    const first = await LoadClient.connect(lab, { ...common, connections: Math.min(rehearsal, connections) });
    await first.stop();
    const before = await settledRss(server.child.pid, scale.quick ? 2 : 4);
    const client = await LoadClient.connect(lab, { ...common, connections });
    const after = await settledRss(server.child.pid, scale.quick ? 2 : 4);
    await client.stop();
    await server.child.stop();
    const each = (after - before) / connections;
    return {
      row,
      subject,
      unit: 'bytes',
      value: each,
      rounds: [{ rate: each }],
      note: `${connections.toLocaleString('en')} connections; ${mega(before)} before, ${mega(after)} with them`,
    };
  };

  if (parleyUrl(context) !== undefined) {
    const preparing = await parleyWith(
      context,
      users.flatMap((user, i) => roomsOf(i).map((room) => ({ room, user }))),
    );
    await preparing.child.stop();
    const parley = await measure('Parley', await startParley(lab, context.parley, parleyUrl(context)), {
      upPrefix: '42["ready"',
      tokens,
    });
    // What the heap grows by anyway is a large part of few connections: the target is one for many.
    if (!scale.quick) parley.target = { text: '<= 4,096', met: parley.value <= targetBytes };
    measured.push(parley);
  }
  if (context.peers) {
    const setups = await lab.file(
      'idle-join-sio',
      users.map((_, i) => `420["join",${JSON.stringify(roomsOf(i))}]`),
    );
    measured.push(await measure('socket.io on ws', await startPeer(lab, 'socketio'), { tokens, setups }));
    const raw = await lab.file(
      'idle-join-raw',
      users.map((_, i) => `j ${roomsOf(i).join(' ')}`),
    );
    measured.push(await measure('bare uWebSockets.js', await startPeer(lab, 'uws'), { dialect: 'raw', setups: raw }));
  }
  const [ours, ...others] = measured;
  const comparisons =
    ours?.subject === 'Parley'
      ? others.map((other) => ({ row, of: other.subject, ratio: ours.value / other.value }))
      : [];
  return { measured, comparisons };
}

/** Waits until memory has not moved by 0.5 % for some half seconds, at most 12 s. */
async function settledRss(pid: number, quietTimes: number): Promise<number> {
  let last = await rssBytes(pid);
  for (let quiet = 0, tries = 0; quiet < quietTimes && tries < 24; tries++) {
    await sleep(500);
    const now = await rssBytes(pid);
    quiet = Math.abs(now - last) < last * 0.005 ? quiet + 1 : 0;
    last = now;
  }
  return last;
}

const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
