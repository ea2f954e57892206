/** Many small rooms: 300 of ten receivers and a sender each, all sending at once. */
import { LoadClient, nullServer } from '../client.ts';
import { openAll, range, type Context } from '../context.ts';
import { deliveredFrame, rawFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import { alternate, compareAll, contestant, type LoadedContestant, type RowResult } from '../rounds.ts';
import { targetOf, type Crowd } from '../subjects/subject.ts';
import { costOf } from './fanout.ts';

const roomCount = 300;
const receivers = 10;
const row = 'fan-out in 300 rooms of 10, 1 under way each';
const unit = 'deliveries/s';

/** Three characters, as the room of the prepared frames has. */
const nameOf = (i: number): string => `r${(i % roomCount).toString(36).padStart(2, '0')}`;

const crowd: Crowd = {
  name: 'small',
  rooms: range(roomCount * (receivers + 1), (i) => [nameOf(i)]),
  senders: roomCount,
  does: 'publish',
};

const loadOf = ({ scale }: Context) => ({
  senders: roomCount,
  outstanding: 1,
  receivers,
  warmup: scale.side.warmup,
  seconds: scale.side.seconds,
});

export async function rooms(context: Context): Promise<RowResult> {
  const contestants: LoadedContestant[] = [];
  for (const { subject, running } of await openAll(context, crowd, row)) {
    contestants.push(contestant(subject.title, await running.connect(), loadOf(context), 'deliveries'));
  }
  const measured = await alternate(row, unit, context.scale.side.rounds, contestants);
  const cost = costOf('processor time of a million deliveries, 300 rooms of 10', measured);
  return { measured: [...measured, ...cost], comparisons: [...compareAll(measured), ...compareAll(cost)] };
}

export async function roomsCeiling(context: Context): Promise<RowResult> {
  const { lab } = context;
  const port = await freePort();
  const server = nullServer(lab, port, 'rooms', deliveredFrame('fan', 'user-0').length);
  await server.line(5000);
  const client = await LoadClient.connect(lab, {
    port,
    serverPid: server.pid,
    dialect: 'raw',
    connections: crowd.rooms.length,
    countPrefix: '42["',
    rooms: await lab.file(
      'small-rooms',
      crowd.rooms.map((_, i) => targetOf(crowd, i)),
    ),
    setups: await lab.file(
      'small-null',
      crowd.rooms.map((_, i) => (i < roomCount ? '' : `j ${nameOf(i)}`)),
    ),
    command: rawFrame('P'),
  });
  const measured = await alternate(row, unit, 2, [
    contestant('null server in C', client, loadOf(context), 'deliveries'),
  ]);
  await client.stop();
  await server.stop();
  return { measured, comparisons: [] };
}
