/** One sender, a room of 10, 1,000 or 10,000 receivers: deliveries/s, counted at the receivers, and their cost. */
import { LoadClient, nullServer } from '../client.ts';
import { openAll, range, type Context } from '../context.ts';
import { deliveredFrame, frames, rawFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import {
  alternate,
  compareAll,
  contestant,
  summarize,
  type LoadedContestant,
  type Measured,
  type RowResult,
  type Targets,
} from '../rounds.ts';
import type { Crowd } from '../subjects/subject.ts';

const unit = 'deliveries/s';
const targets: Targets = { 'socket.io on ws': { target: 5 }, 'bare uWebSockets.js': { target: 0.8, aim: 0.9 } };

/** Messages under way. The sender waits for acks and deliveries, so no server gains by filling its buffers. */
interface Room {
  readonly name: string;
  readonly receivers: number;
  readonly outstanding: number;
}

const small: Room = { name: 'ten', receivers: 10, outstanding: 16 };
const middle: Room = { name: 'fan', receivers: 1000, outstanding: 16 };
/** With 16 messages under way a round would mostly be the 160,000 deliveries of its beginning. */
const large: Room = { name: 'big', receivers: 10_000, outstanding: 4 };

const sizeOf = ({ receivers }: Room): string => `room of ${receivers.toLocaleString('en')}`;
const rowOf = (room: Room): string => `fan-out of a signal, ${sizeOf(room)}, ${room.outstanding} under way`;

async function openRoom(context: Context, room: Room): Promise<LoadedContestant[]> {
  const crowd: Crowd = {
    name: room.name,
    rooms: range(room.receivers + 1, () => [room.name]),
    senders: 1,
    does: 'publish',
  };
  const opened = await openAll(context, crowd, rowOf(room));
  const contestants: LoadedContestant[] = [];
  for (const { subject, running } of opened) {
    const client = await running.connect();
    contestants.push(contestant(subject.title, client, loadOf(context, room), 'deliveries'));
  }
  return contestants;
}

function loadOf({ scale }: Context, room: Room) {
  const { warmup, seconds } = room === middle ? scale : scale.side;
  return { senders: 1, outstanding: room.outstanding, receivers: room.receivers, warmup, seconds };
}

async function measureRoom(context: Context, room: Room, contestants: readonly LoadedContestant[]): Promise<RowResult> {
  const { rounds } = room === middle ? context.scale : context.scale.side;
  const measured = await alternate(rowOf(room), unit, rounds, contestants);
  const cost = costOf(`processor time of a million deliveries, ${sizeOf(room)}`, measured);
  return {
    measured: [...measured, ...cost],
    comparisons: [...compareAll(measured, room === middle ? targets : {}), ...compareAll(cost)],
  };
}

/** From the same rounds: the processor time of the server for each delivery. */
export function costOf(row: string, measured: readonly Measured[]): Measured[] {
  return measured.map(({ subject, rounds }) => ({
    ...summarize(
      row,
      subject,
      'CPU s',
      rounds.map(({ cpu, rate }) => ({ rate: ((cpu?.server ?? 0) / rate) * 1e6 })),
    ),
    lowerIsBetter: true,
  }));
}

export async function fanout(context: Context): Promise<RowResult> {
  const { scale } = context;
  const load = loadOf(context, middle);
  const contestants = await openRoom(context, middle);
  const { measured, comparisons } = await measureRoom(context, middle, contestants);

  // With one message at a time a server can gather nothing. The part of the kernel is largest, and the servers differ least.
  context.say('fan-out, one message at a time');
  const single = contestants.map(({ subject, client }) =>
    contestant(
      subject,
      client,
      { ...load, warmup: scale.side.warmup, seconds: scale.side.seconds, outstanding: 1 },
      'deliveries',
    ),
  );
  const alone = await alternate('the same, one message at a time', unit, scale.side.rounds, single);
  for (const m of alone) if (!m.rounds.some((r) => r.undelivered)) delete m.note;
  measured.push(...alone);
  comparisons.push(...compareAll(alone));

  const ours = contestants.find(({ subject }) => subject === 'Parley')?.client;
  if (ours === undefined) return { measured, comparisons };
  context.say('fan-out of stored messages');
  ours.command(frames.send);
  const everybody = middle.receivers + 1;
  const durable = contestant('Parley', ours, { ...load, receivers: everybody }, 'deliveries');
  const [stored] = await alternate('fan-out of stored messages, same room', unit, Math.ceil(scale.rounds / 2), [
    durable,
  ]);
  if (stored) {
    stored.usesPostgres = true;
    stored.note = `${(stored.value / everybody).toFixed(0)} messages/s of one sender, each committed; for information`;
    measured.push(stored);
  }
  return { measured, comparisons };
}

export const fanoutSmall = async (context: Context): Promise<RowResult> =>
  measureRoom(context, small, await openRoom(context, small));

export const fanoutLarge = async (context: Context): Promise<RowResult> =>
  measureRoom(context, large, await openRoom(context, large));

/** The same load on a server that does almost nothing: the limit of the client. */
async function ceiling(context: Context, room: Room): Promise<RowResult> {
  const { lab } = context;
  const port = await freePort();
  const server = nullServer(lab, port, 'fanout', deliveredFrame('fan', 'user-0').length);
  await server.line(5000);
  const client = await LoadClient.connect(lab, {
    port,
    serverPid: server.pid,
    dialect: 'raw',
    connections: room.receivers + 1,
    countPrefix: '42["',
    command: rawFrame('F'),
  });
  const subject = contestant('null server in C', client, loadOf(context, room), 'deliveries');
  const measured = await alternate(rowOf(room), unit, 2, [subject]);
  await client.stop();
  await server.stop();
  return { measured, comparisons: [] };
}

export const fanoutCeiling = (context: Context): Promise<RowResult> => ceiling(context, middle);
export const fanoutSmallCeiling = (context: Context): Promise<RowResult> => ceiling(context, small);
export const fanoutLargeCeiling = (context: Context): Promise<RowResult> => ceiling(context, large);
