/**
 * `kill -9` of one process after the other (each node in turn, Redis, Postgres) under load. The run shows that nothing is lost,
 * and the time until clients are back. Senders and readers are in pairs, one pair a room, and connect to nodes at random.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { delayBefore, reconnectBackoff } from '../../src/client/backoff.ts';
import { Reader } from '../hub/reader.ts';
import { assertDense, makeRoom } from '../support/messaging.ts';
import { tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { Sender } from './crash-sender.ts';
import { percentile } from './report.ts';
import { openStage, type Stage } from './stage.ts';

export interface KillPlan {
  /** Messages a second that are offered. */
  readonly rate: number;
  /** Kills of each kind of process. */
  readonly kills: number;
  /** Kinds of processes, by commas. */
  readonly of: string;
  readonly say: (line: string) => void;
}

interface Pair {
  readonly room: string;
  readonly sender: Sender;
  readonly reader: Reader;
}

interface Kill {
  readonly inSyncMs: number[];
  readonly nextAckMs: number[];
}

const nodes = 3;
const pairCount = 20;
const window = 300;
/** The time for which clients are watched after a kill, and the interval of the checks. */
const watchMs = 12_000;
const pollMs = 20;
/** A reader is out of sync while it has no connection, or lacks what was acknowledged that long ago. */
const graceMs = 1000;
/** After a load like this there may be much to read. */
const settleMs = 120_000;

const processes = ['node', 'redis', 'postgres'] as const;
type Process = (typeof processes)[number];
const killing: Readonly<Record<Process, (stage: Stage, n: number) => Promise<void>>> = {
  node: async (stage, n) => {
    const node = stage.nodes[n % nodes];
    await node?.kill();
    await node?.start();
  },
  redis: async ({ redis }) => {
    await redis.kill('SIGKILL');
    await redis.start();
  },
  postgres: async ({ postgres }) => {
    await postgres.kill('SIGKILL');
    await postgres.start();
  },
};

/** @returns whether nothing was lost, doubled or out of order. */
export async function killAtRate({ rate, kills, of, say }: KillPlan): Promise<boolean> {
  const stage = await openStage(nodes);
  const pairs: Pair[] = [];
  try {
    for (let n = 0; n < pairCount; n++) pairs.push(await enter(stage, n, rate / pairCount));
    for (const { sender } of pairs) sender.start();
    await delay(5000);
    for (const process of processes.filter((kind) => of.split(',').includes(kind))) {
      const all: Kill[] = [];
      let acked = 0;
      for (let n = 0; n < kills; n++) {
        const steady = ackedBy(pairs);
        await delay(3000);
        acked += ackedBy(pairs) - steady;
        all.push(await watch(stage, pairs, () => killing[process](stage, n), process === 'node'));
      }
      const sync = all.flatMap(({ inSyncMs }) => inSyncMs);
      const ack = all.flatMap(({ nextAckMs }) => nextAckMs);
      say(
        `kill -9 of ${process}, ${kills} times, at ${Math.round(acked / (3 * kills))} messages/s: ` +
          `readers in sync ${spread(sync)}; senders' next ack ${spread(ack)} (from the kill)`,
      );
    }
    const faults = await settle(stage, pairs);
    for (const fault of faults.slice(0, 20)) say(`FOUND ${fault}`);
    say(
      `${ackedBy(pairs)} acks, ${faults.length} faults, ${total(pairs, (pair) => pair.reader.gaps)} gaps closed by readers`,
    );
    return faults.length === 0;
  } finally {
    for (const { reader } of pairs) reader.close();
    await stage.stop();
  }
}

/** As the SDK: the first wait of a connection that was well. */
const reconnectMs = (): number => delayBefore(0, reconnectBackoff);

async function enter(stage: Stage, n: number, perSecond: number): Promise<Pair> {
  const room = await makeRoom(stage.sql, `room-${n}`, `sender-${n}`, `reader-${n}`);
  const url = (): string => stage.nodes[Math.floor(Math.random() * nodes)]?.url ?? '';
  const token = await tokenOf(`sender-${n}`);
  const own = await tokenOf(`reader-${n}`);
  const sender = new Sender({ url, token, rooms: [room], window, resendEvery: 100, perSecond, reconnectMs });
  const reader = new Reader({ url, token: () => own, room, reconnectMs });
  return { room, sender, reader };
}

/** @param reconnecting only those count whose connection was on what was killed. */
async function watch(
  stage: Stage,
  pairs: readonly Pair[],
  kill: () => Promise<void>,
  reconnecting: boolean,
): Promise<Kill> {
  const opened = pairs.map(({ reader }) => reader.opened);
  const reconnects = pairs.map(({ sender }) => sender.reconnects);
  const from = performance.now();
  const killed = kill();
  const inSync = pairs.map(() => 0);
  const next = pairs.map(() => 0);
  /** The acknowledged heads at each check, for the time of the grace. */
  const heads: { readonly at: number; readonly seqs: readonly number[] }[] = [];
  while (performance.now() - from < watchMs) {
    const now = performance.now();
    heads.push({ at: now, seqs: pairs.map(({ room, sender }) => sender.heads.get(room) ?? 0) });
    while ((heads[1]?.at ?? now) < now - graceMs) heads.shift();
    const due = heads[0] !== undefined && heads[0].at < now - graceMs + pollMs * 5 ? heads[0].seqs : [];
    for (const [n, { sender, reader }] of pairs.entries()) {
      if (!reader.ready || reader.cursor < (due[n] ?? 0)) inSync[n] = now - from;
      // an ack that was on its way is not the next one
      if (next[n] === 0 && sender.ackedAt > from + 200) next[n] = sender.ackedAt - from;
    }
    await delay(pollMs);
  }
  await killed;
  await stage.ready(settleMs);
  const missing = next.map((ms) => (ms === 0 ? watchMs : ms));
  return {
    inSyncMs: inSync.filter((_, n) => !reconnecting || pairs[n]?.reader.opened !== opened[n]),
    nextAckMs: missing.filter((_, n) => !reconnecting || pairs[n]?.sender.reconnects !== reconnects[n]),
  };
}

async function settle(stage: Stage, pairs: readonly Pair[]): Promise<string[]> {
  await Promise.all(pairs.map(({ sender }) => sender.finish()));
  const faults = pairs.flatMap(({ sender }) => sender.faults);
  await assertDense(stage.sql).catch((error: unknown) => faults.push(String(error)));
  for (const { room, sender, reader } of pairs) {
    const rows = await stage.sql<{ id: string; seq: number }[]>`
      select id, seq from messages where room_id = ${room} order by seq`;
    const stored = new Map(rows.map(({ id, seq }) => [id, seq]));
    for (const { id, seq } of sender.messages) {
      if (seq === 0 || stored.get(id) !== seq)
        faults.push(`${room}: ${id} was acknowledged as ${seq}, and is ${stored.get(id)}`);
    }
    if (stored.size !== sender.messages.length) faults.push(`${room} has ${stored.size} of ${sender.messages.length}`);
    await until(`the reader of ${room} has all`, () => reader.cursor >= rows.length, settleMs);
    const wrong = rows.findIndex(
      ({ id, seq }, at) => reader.messages[at]?.id !== id || reader.messages[at]?.seq !== seq,
    );
    if (wrong !== -1 || reader.messages.length !== rows.length)
      faults.push(`the reader of ${room} has another ${wrong + 1}`);
  }
  for (const node of stage.nodes) {
    await node.poll();
    faults.push(...node.faults);
  }
  return faults;
}

const total = (pairs: readonly Pair[], of: (pair: Pair) => number): number =>
  pairs.reduce((all, pair) => all + of(pair), 0);
const ackedBy = (pairs: readonly Pair[]): number => total(pairs, ({ sender }) => sender.acks);
const spread = (ms: readonly number[]): string =>
  `p50 ${percentile(ms, 0.5)} ms, p99 ${percentile(ms, 0.99)} ms, longest ${percentile(ms, 1)} ms of ${ms.length}`;
