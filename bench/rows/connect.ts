/** The rate of connections: WebSocket, authentication, three rooms each, ready; 100 of them under way at a time. */
import { openAll, type Context, type Opened } from '../context.ts';
import { alternate, compareAll, type Contestant, type RowResult } from '../rounds.ts';
import { calm } from '../settle.ts';
import { idleCrowd, rehearsal } from './idle.ts';

const row = 'connect, authenticate, ready in 3 rooms';
const unit = 'connections/s';
const aim = 4000;

export async function connect(context: Context): Promise<RowResult> {
  const crowd = idleCrowd('connect', context.scale.connects, 3);
  const alone = { ...context, subjects: context.subjects.filter(({ name }) => name !== 'parley3') };
  const contestants: Contestant[] = [];
  for (const opened of await openAll(alone, crowd, row)) {
    await (await opened.running.connect(Math.min(rehearsal, context.scale.connects))).stop();
    contestants.push(connectRate(opened));
  }
  const measured = await alternate(row, unit, context.scale.side.rounds, contestants);
  const [ours] = measured;
  if (ours?.subject === 'Parley') {
    ours.aim = { text: `>= ${aim.toLocaleString('en')}`, met: ours.value >= aim };
    ours.usesPostgres = true;
  }
  return { measured, comparisons: compareAll(measured) };
}

function connectRate({ subject, running }: Opened): Contestant {
  return {
    subject: subject.title,
    async round() {
      await calm(running.pids);
      const client = await running.connect();
      const { seconds, serverCpu, clientCpu, machineCpu } = client.connecting;
      await client.stop();
      await calm(running.pids);
      return {
        rate: client.connections / seconds,
        cpu: {
          server: serverCpu / seconds,
          client: clientCpu / seconds,
          rest: Math.max(0, machineCpu - serverCpu - clientCpu) / seconds,
        },
      };
    },
  };
}
