/** Stored messages: 200 senders in 100 rooms of two, 4 messages under way each; then half of that rate, on a schedule. */
import { LoadClient, peerPath } from '../client.ts';
import { parleyUrl, parleyWith, range, tokensFile, type Context, type Scale } from '../context.ts';
import { frames } from '../frames.ts';
import type { Child } from '../lab.ts';
import {
  alternate,
  compare,
  contestant,
  summarize,
  toRound,
  type Contestant,
  type Latency,
  type Measured,
  type RowResult,
} from '../rounds.ts';

const row = 'stored messages with ack';
const halfRow = 'stored messages at half of that rate';
const unit = 'messages/s';
const senders = 200;
const outstanding = 4;
const targetP99Ms = 50;
const embedded = 'Parley, embedded';

const roomOf = (i: number): string => `pair-${i >> 1}`;

export async function durable(context: Context): Promise<RowResult> {
  const { lab, scale } = context;
  const users = range(senders, (i) => `sender-${i}`);
  const memberships = users.map((user, i) => ({ room: roomOf(i), user }));
  const tokens = await tokensFile(context, 'durable', users);
  const rooms = await lab.file(
    'durable-rooms',
    users.map((_, i) => roomOf(i)),
  );
  const load = { senders, outstanding, warmup: scale.warmup, seconds: scale.seconds };

  const open = async (withoutPostgres: boolean): Promise<LoadClient> => {
    const server = await parleyWith(context, memberships, withoutPostgres);
    return LoadClient.connect(lab, {
      port: server.port,
      serverPid: server.child.pid,
      dialect: 'sio',
      connections: senders,
      upPrefix: '42["ready"',
      tokens,
      rooms,
      command: frames.send,
    });
  };

  const url = parleyUrl(context);
  const clients: { subject: string; client: LoadClient }[] = [];
  if (url !== undefined) clients.push({ subject: 'Parley on Postgres', client: await open(false) });
  clients.push({ subject: embedded, client: await open(true) });
  const contestants: Contestant[] = clients.map(({ subject, client }) => contestant(subject, client, load, 'acks'));
  if (url !== undefined && context.inserts) {
    const naive = lab.start(process.execPath, [peerPath('insert'), url]);
    await naive.line(10_000);
    contestants.unshift(oneInsert('one insert a message', naive, { ...load, outstanding: senders * outstanding }));
    contestants.push(oneInsert('one insert at a time', naive, { ...load, outstanding: 1 }));
  }

  const measured = await alternate(row, unit, scale.rounds, contestants);
  // The embedded database never calls fsync, so it is compared with no other.
  const ours = measured.find((m) => m.subject === 'Parley on Postgres');
  const naive = measured.find((m) => m.subject === 'one insert a message');
  const comparisons = ours && naive ? [compare(ours, naive, 12, 20)] : [];

  for (const { subject, client } of clients) {
    context.say(`half load: ${subject}`);
    const max = measured.find((m) => m.subject === subject)?.value ?? 0;
    measured.push(await atHalf(subject, client, max / 2, scale));
  }
  for (const m of measured) m.usesPostgres = m.subject !== embedded;
  return { measured, comparisons };
}

async function atHalf(subject: string, client: LoadClient, rate: number, scale: Scale): Promise<Measured> {
  const result = await client.load({ senders, rate, warmup: 1, seconds: scale.seconds * 2 });
  const measured = summarize(halfRow, subject, unit, [toRound(result, 'acks')]);
  const p99 = measured.latencyMs?.p99 ?? Number.POSITIVE_INFINITY;
  measured.target = { text: `p99 < ${targetP99Ms} ms`, met: p99 < targetP99Ms && result.late === 0 };
  if (result.late > 0) measured.note = `${result.late} messages could not be sent when due`;
  return measured;
}

interface InsertResult {
  seconds: number;
  acks: number;
  cpu: number;
  rest: number;
  cpuSeconds: number;
  latencyMs: Latency;
}

function oneInsert(
  subject: string,
  child: Child,
  order: { outstanding: number; warmup: number; seconds: number },
): Contestant {
  return {
    subject,
    async round() {
      child.write(JSON.stringify(order));
      const result = JSON.parse(await child.line((order.warmup + order.seconds + 15) * 1000)) as InsertResult;
      const cpu = { server: result.cpu / result.cpuSeconds, client: 0, rest: result.rest / result.cpuSeconds };
      return { rate: result.acks / result.seconds, latencyMs: result.latencyMs, cpu };
    },
  };
}
