/**
 * The cost of an idle connection: the growth of the server's resident memory, with each connection in 3 rooms, and in 10. All
 * servers run at the same time, because the wait is long. An idle V8 collects the garbage of connecting 20 to 40 s after the
 * last connection.
 */
import { openAll, range, type Context, type Opened } from '../context.ts';
import type { LoadClient } from '../client.ts';
import type { Comparison, Measured, RowResult } from '../rounds.ts';
import { settledRss } from '../settle.ts';
import type { Crowd } from '../subjects/subject.ts';

const rowOf = (rooms: number): string => `resident memory of an idle connection in ${rooms} rooms`;
const targetBytes = 4096;
const aimBytes = 3072;

/**
 * The first connections compile code and load modules, which is no cost of a connection. So a few hundred connections come and
 * go on every server before the baseline.
 */
export const rehearsal = 300;

/** Each connection in so many rooms, with 150 to a room. */
export function idleCrowd(name: string, connections: number, rooms: number): Crowd {
  const roomCount = Math.max(rooms, Math.round((connections * rooms) / 150));
  const step = Math.floor(roomCount / rooms);
  return {
    name,
    rooms: range(connections, (i) => range(rooms, (k) => `${name}-${(i + k * step) % roomCount}`)),
    senders: 0,
    does: 'nothing',
  };
}

interface Watched extends Opened {
  readonly rooms: number;
  readonly baseline: Promise<Baseline>;
}

interface Baseline {
  atOnce: number;
  settled: number;
}

export async function idle(context: Context): Promise<RowResult> {
  const { scale } = context;
  const alone = { ...context, subjects: context.subjects.filter(({ name }) => name !== 'parley3') };
  const watched: Watched[] = [];
  for (const rooms of [3, 10]) {
    const crowd = idleCrowd(`idle${rooms}`, scale.idleConnections, rooms);
    for (const opened of await openAll(alone, crowd, rowOf(rooms))) {
      const first = await opened.running.connect(Math.min(rehearsal, scale.idleConnections));
      await first.stop();
      watched.push({ ...opened, rooms, baseline: awaitedLater(memoryOf(opened, context)) });
    }
  }
  context.say('memory before');
  const before = await Promise.all(watched.map(({ baseline }) => baseline));
  const growing: Promise<Measured>[] = [];
  for (const [i, each] of watched.entries()) {
    context.say(`idle connections in ${each.rooms} rooms: ${each.subject.title}`);
    const client = await each.running.connect();
    growing.push(awaitedLater(measure(context, each, before[i] ?? { atOnce: 0, settled: 0 }, client)));
  }
  context.say('memory until it is still');
  const measured = await Promise.all(growing);
  return { measured, comparisons: [3, 10].flatMap((rooms) => comparisonsOf(measured, rowOf(rooms))) };
}

/** If another wait fails first, no part waits for this one. Its failure, an ended server, is the same. */
function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function memoryOf({ running }: Opened, { scale }: Context): Promise<Baseline> {
  const of = async (quiet: typeof scale.settled): Promise<number> =>
    (await Promise.all(running.pids.map((pid) => settledRss(pid, quiet)))).reduce((sum, { bytes }) => sum + bytes, 0);
  const [atOnce, settled] = await Promise.all([of(scale.atOnce), of(scale.settled)]);
  return { atOnce, settled };
}

async function measure(context: Context, each: Watched, before: Baseline, client: LoadClient): Promise<Measured> {
  const began = performance.now();
  const after = await memoryOf(each, context);
  const waited = (performance.now() - began) / 1000;
  await client.stop();
  await each.running.stop();
  const count = client.connections;
  const value = (after.settled - before.settled) / count;
  const atOnce = (after.atOnce - before.atOnce) / count;
  const measured: Measured = {
    row: rowOf(each.rooms),
    subject: each.subject.title,
    unit: 'bytes',
    value,
    atOnce,
    lowerIsBetter: true,
    rounds: [{ rate: value }],
    note:
      `${count.toLocaleString('en')} connections; at once ${Math.round(atOnce).toLocaleString('en')} B ` +
      `(${mega(before.atOnce)} to ${mega(after.atOnce)}), still after ${waited.toFixed(0)} s ` +
      `(${mega(before.settled)} to ${mega(after.settled)})`,
  };
  // The growth of the heap is a large part of the figure for few connections, so the target is for many.
  if (each.subject.name === 'parley' && each.rooms === 3 && !context.scale.quick) {
    measured.target = { text: `<= ${targetBytes.toLocaleString('en')}`, met: value <= targetBytes };
    measured.aim = { text: `<= ${aimBytes.toLocaleString('en')}`, met: value <= aimBytes };
  }
  return measured;
}

function comparisonsOf(measured: readonly Measured[], row: string): Comparison[] {
  const [ours, ...others] = measured.filter((m) => m.row === row);
  if (ours?.subject !== 'Parley') return [];
  return others.map((other) => ({ row, of: other.subject, ratio: ours.value / other.value }));
}

const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
