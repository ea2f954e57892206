/** How fast connections come up: WebSocket, authentication, three rooms each, ready; 100 of them under way at a time. */
import { openAll, type Context, type Opened } from '../context.ts';
import { alternate, compareAll, type Contestant, type RowResult } from '../rounds.ts';
import { calm } from '../settle.ts';
import { idleCrowd, rehearsal } from './idle.ts';

const row = 'connect, authenticate, ready in 3 rooms';
const unit = 'connections/s';
const aim = 4000;

export async function connect(context: Context): Promise<RowResult> {
  const crowd = idleCrowd('arrival', context.scale.arrivals, 3);
  const alone = { ...context, subjects: context.subjects.filter(({ name }) => name !== 'parley3') };
  const contestants: Contestant[] = [];
  for (const opened of await openAll(alone, crowd, row)) {
    await (await opened.running.connect(Math.min(rehearsal, context.scale.arrivals))).stop();
    contestants.push(arrivals(opened));
  }
  const measured = await alternate(row, unit, context.scale.side.rounds, contestants);
  const [ours] = measured;
  if (ours?.subject === 'Parley') {
    ours.aim = { text: `>= ${aim.toLocaleString('en')}`, met: ours.value >= aim };
    ours.usesPostgres = true;
  }
  return { measured, comparisons: compareAll(measured) };
}

function arrivals({ subject, running }: Opened): Contestant {
  return {
    subject: subject.title,
    async round() {
      await calm(running.pids);
      const client = await running.connect();
      const { seconds, serverCpu, clientCpu, machineCpu } = client.arrival;
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
