/** One sender, a room of 1,000 receivers: deliveries/s, counted where they arrive. */
import { LoadClient, nullServer } from '../client.ts';
import { parleyWith, range, tokensFile, type Context } from '../context.ts';
import { deliveredFrame, frames, rawFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import { alternate, compare, contestant, type Comparison, type LoadedContestant, type RowResult } from '../rounds.ts';
import { startPeer } from '../servers.ts';

const row = 'fan-out of a signal, room of 1,000, 16 under way';
const singleRow = 'the same, one message at a time';
const unit = 'deliveries/s';
const receivers = 1000;
/** Messages under way: the sender waits for acks and deliveries, so no server is measured filling its buffers. */
const outstanding = 16;

export async function fanout(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const connections = receivers + 1;
  const users = range(connections, (i) => `user-${i}`);
  const load = { senders: 1, outstanding, receivers, warmup: scale.warmup, seconds: scale.seconds };
  const tokens = await tokensFile(context, 'fan', users);
  const rooms = await lab.file(
    'fan-rooms',
    users.map(() => 'fan'),
  );
  const memberships = users.map((user) => ({ room: 'fan', user }));

  const parley = await parleyWith(context, memberships);
  const client = await LoadClient.connect(lab, {
    port: parley.port,
    serverPid: parley.child.pid,
    dialect: 'sio',
    connections,
    upPrefix: '42["ready"',
    countPrefix: '42["',
    tokens,
    rooms,
    command: frames.signal,
  });
  const contestants: LoadedContestant[] = [contestant('Parley', client, load, 'deliveries')];
  if (context.peers) {
    const socketio = await startPeer(lab, 'socketio');
    const joins = users.map((_, i) => (i === 0 ? '' : '420["join",["fan"]]'));
    contestants.push(
      contestant(
        'socket.io on ws',
        await LoadClient.connect(lab, {
          port: socketio.port,
          serverPid: socketio.child.pid,
          dialect: 'sio',
          connections,
          countPrefix: '42["',
          tokens,
          rooms,
          setups: await lab.file('fan-join-sio', joins),
          command: frames.signal,
        }),
        load,
        'deliveries',
      ),
    );
    const uws = await startPeer(lab, 'uws');
    contestants.push(
      contestant(
        'bare uWebSockets.js',
        await LoadClient.connect(lab, {
          port: uws.port,
          serverPid: uws.child.pid,
          dialect: 'raw',
          connections,
          countPrefix: '42["',
          setups: await lab.file(
            'fan-join-raw',
            users.map((_, i) => (i === 0 ? '' : 'j fan')),
          ),
          command: rawFrame('F'),
        }),
        load,
        'deliveries',
      ),
    );
  }

  const measured = await alternate(row, unit, scale.rounds, contestants);
  const [ours, socketio, bare] = measured;
  const comparisons: Comparison[] = [];
  if (ours && socketio && bare) comparisons.push(compare(ours, socketio, 5), compare(ours, bare, 0.8));

  // One message at a time nothing can be gathered: the kernel's part is largest, the servers are nearest to each other.
  context.say('fan-out, one message at a time');
  const single = contestants.map(({ subject, client: itsClient }) =>
    contestant(subject, itsClient, { ...load, outstanding: 1 }, 'deliveries'),
  );
  const alone = await alternate(singleRow, unit, Math.ceil(scale.rounds / 2), single);
  for (const m of alone) delete m.note;
  const [mine, ...others] = alone;
  if (mine) comparisons.push(...others.map((other) => compare(mine, other)));
  measured.push(...alone);

  context.say('fan-out of stored messages');
  client.command(frames.send);
  const durable = contestant('Parley', client, { ...load, receivers: connections }, 'deliveries');
  const [stored] = await alternate('fan-out of stored messages, same room', unit, Math.ceil(scale.rounds / 2), [
    durable,
  ]);
  if (stored) {
    const [round] = stored.rounds;
    stored.note = `${((round?.rate ?? 0) / connections).toFixed(0)} commits of messages/s by one sender; for information`;
    measured.push(stored);
  }
  return { measured, comparisons };
}

/** The same load against a server that does next to nothing: what the client could take. */
export async function fanoutCeiling(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const port = await freePort();
  const server = nullServer(lab, port, 'fanout', deliveredFrame('fan', 'user-0').length);
  await server.line(5000);
  const client = await LoadClient.connect(lab, {
    port,
    serverPid: server.pid,
    dialect: 'raw',
    connections: receivers + 1,
    countPrefix: '42["',
    command: rawFrame('F'),
  });
  const load = { senders: 1, outstanding, receivers, warmup: scale.warmup, seconds: scale.seconds };
  const measured = await alternate(row, unit, 2, [contestant('null server in C', client, load, 'deliveries')]);
  await client.stop();
  await server.stop();
  return { measured, comparisons: [] };
}
