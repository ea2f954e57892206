/** A command and its ack, no database, no other receiver: 200 connections with 4 commands under way each. */
import { LoadClient, nullServer } from '../client.ts';
import { openAll, range, type Context } from '../context.ts';
import { rawFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import { alternate, compareAll, contestant, type LoadedContestant, type RowResult, type Targets } from '../rounds.ts';
import type { Crowd } from '../subjects/subject.ts';

const row = 'command with ack, 200 connections';
const unit = 'acks/s';
const connections = 200;
/** With one command each the row would mostly measure the kernel, and the client would be as busy as the server. */
const outstanding = 4;
const targets: Targets = { 'socket.io on ws': { target: 2.5 }, 'bare uWebSockets.js': { aim: 0.85 } };

const crowd: Crowd = {
  name: 'echo',
  rooms: range(connections, (i) => [`echo-${i}`]),
  senders: connections,
  does: 'echo',
};

export async function echo(context: Context): Promise<RowResult> {
  const { scale } = context;
  const load = { senders: connections, outstanding, warmup: scale.warmup, seconds: scale.seconds };
  // Parley's three nodes answer commands as one does.
  const alone = { ...context, subjects: context.subjects.filter(({ name }) => name !== 'parley3') };
  const contestants: LoadedContestant[] = [];
  for (const { subject, running } of await openAll(alone, crowd, row)) {
    contestants.push(contestant(subject.title, await running.connect(), load, 'acks'));
  }
  const measured = await alternate(row, unit, scale.rounds, contestants);
  return { measured, comparisons: compareAll(measured, targets) };
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
