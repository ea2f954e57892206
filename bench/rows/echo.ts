/** A command and its ack, no database, nobody else to tell: 200 connections with 4 commands under way each. */
import { LoadClient, nullServer } from '../client.ts';
import { parleyWith, range, tokensFile, type Context } from '../context.ts';
import { frames, rawFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import { alternate, compare, contestant, type Contestant, type RowResult } from '../rounds.ts';
import { startPeer } from '../servers.ts';

const row = 'command with ack, 200 connections';
const unit = 'acks/s';
const connections = 200;
/** With one each it is mostly the kernel that is measured, and the client is as busy as the server. */
const outstanding = 4;

export async function echo(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const load = { senders: connections, outstanding, warmup: scale.warmup, seconds: scale.seconds };
  const users = range(connections, (i) => `echo-user-${i}`);
  const tokens = await tokensFile(context, 'echo', users);
  const rooms = await lab.file(
    'echo-rooms',
    users.map((_, i) => `echo-${i}`),
  );

  const parley = await parleyWith(
    context,
    users.map((user, i) => ({ room: `echo-${i}`, user })),
  );
  const ours = await LoadClient.connect(lab, {
    port: parley.port,
    serverPid: parley.child.pid,
    dialect: 'sio',
    connections,
    upPrefix: '42["ready"',
    tokens,
    rooms,
    command: frames.signal,
  });
  const contestants: Contestant[] = [contestant('Parley', ours, load, 'acks')];
  if (context.peers) {
    const socketio = await startPeer(lab, 'socketio');
    const theirs = await LoadClient.connect(lab, {
      port: socketio.port,
      serverPid: socketio.child.pid,
      dialect: 'sio',
      connections,
      tokens,
      rooms,
      command: frames.echo,
    });
    contestants.push(contestant('socket.io on ws', theirs, load, 'acks'));
    const uws = await startPeer(lab, 'uws');
    const bare = await LoadClient.connect(lab, {
      port: uws.port,
      serverPid: uws.child.pid,
      dialect: 'raw',
      connections,
      command: rawFrame('E'),
    });
    contestants.push(contestant('bare uWebSockets.js', bare, load, 'acks'));
  }
  const measured = await alternate(row, unit, scale.rounds, contestants);
  const [mine, socketio, bare] = measured;
  const comparisons = [];
  if (mine && socketio && bare) comparisons.push(compare(mine, socketio, 2.5), compare(mine, bare));
  return { measured, comparisons };
}

export async function echoCeiling(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const port = await freePort();
  const server = nullServer(lab, port, 'echo', 100);
  await server.line(5000);
  const client = await LoadClient.connect(lab, {
    port,
    serverPid: server.pid,
    dialect: 'raw',
    connections,
    command: rawFrame('E'),
  });
  const load = { senders: connections, outstanding, warmup: scale.warmup, seconds: scale.seconds };
  const measured = await alternate(row, unit, 2, [contestant('null server in C', client, load, 'acks')]);
  await client.stop();
  await server.stop();
  return { measured, comparisons: [] };
}
