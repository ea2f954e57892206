/**
 * A cluster that is broken in every way of `plan.ts` while a crowd uses it. After each round the run waits until the cluster is
 * quiet, and compares everything that clients received with Postgres. See README.md here.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Checker } from './checker.ts';
import { Crowd } from './crowd.ts';
import { inflictRound } from './faults.ts';
import { wrongClock } from '../support/faketime.ts';
import { describeRound, planOf, type FaultKind, type Round } from './plan.ts';
import { Recorder } from './recorder.ts';
import { openStage, type Counter, type Stage } from './stage.ts';

export interface ClusterPlan {
  readonly seed: number;
  /** Mixed rounds at most, after one for each kind of fault. */
  readonly mixed: number;
  /** No round is begun after that. */
  readonly minutes: number;
  readonly stopMs: number;
  /** Messages a second. */
  readonly rate: number;
  readonly say: (line: string) => void;
  /** Kinds that are left out. */
  readonly without?: readonly FaultKind[];
}

export interface RoundReport {
  readonly kind: string;
  /** For each client, from the end of the fault: until it shows what was acknowledged by then, and until its next ack. */
  readonly inSyncMs: readonly number[];
  readonly nextAckMs: readonly number[];
  /** The longest time that each had no ack, the fault itself included. */
  readonly stallMs: readonly number[];
}

export interface ClusterReport {
  readonly rounds: readonly RoundReport[];
  readonly faults: Readonly<Record<string, number>>;
  readonly recorder: Recorder;
  readonly stored: number;
  readonly leaves: number;
  readonly removals: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly gaps: number;
  readonly slowestPresenceMs: number;
  readonly seconds: number;
}

const nodes = 3;
/** Time that a client has, from the end of a round, until it is in sync and its next send is acknowledged. */
export const stallLimitMs = 60_000;
/** From the moment all are connected again: 10 s without a sign of life, five for a flap, and some for a busy machine. */
const presenceLimitMs = 20_000;
const quietLimitMs = 60_000;

export async function runCluster(plan: ClusterPlan): Promise<ClusterReport> {
  const from = performance.now();
  const stage = await openStage(nodes);
  const recorder = new Recorder();
  const crowd = new Crowd(
    {
      users: 12,
      rooms: 8,
      rate: plan.rate,
      address: () => stage.nodes[Math.floor(Math.random() * nodes)]?.url ?? '',
    },
    recorder,
  );
  try {
    await crowd.enter();
    const run = new Run(stage, crowd, recorder, plan.say);
    const without: FaultKind[] = [...(plan.without ?? [])];
    if (wrongClock(0) === undefined && !without.includes('node clock wrong')) {
      plan.say('left out, for want of libfaketime: node clock wrong');
      without.push('node clock wrong');
    }
    const rounds = planOf(plan.seed, { nodes, mixed: plan.mixed, stopMs: plan.stopMs, without });
    for (const [n, round] of rounds.entries()) {
      if (performance.now() - from > plan.minutes * 60_000 || recorder.found > 0) break;
      plan.say(`${Math.round((performance.now() - from) / 1000)} s, round ${n + 1}: ${describeRound(round)}`);
      await run.round(round);
    }
    return { ...run.report(), seconds: Math.round((performance.now() - from) / 1000) };
  } finally {
    await crowd.leave();
    await stage.stop();
    for (const node of stage.nodes) for (const text of node.faults) recorder.find('process', text);
  }
}

const worst = (values: readonly number[]): number => Math.round(Math.max(0, ...values));

class Run {
  readonly #stage: Stage;
  readonly #crowd: Crowd;
  readonly #recorder: Recorder;
  readonly #checker: Checker;
  readonly #say: (line: string) => void;
  readonly #rounds: RoundReport[] = [];
  readonly #faults: Record<string, number> = {};
  #slowestPresenceMs = 0;

  constructor(stage: Stage, crowd: Crowd, recorder: Recorder, say: (line: string) => void) {
    this.#stage = stage;
    this.#crowd = crowd;
    this.#recorder = recorder;
    this.#say = say;
    this.#checker = new Checker(stage.sql, recorder, crowd);
  }

  async round(round: Round): Promise<void> {
    for (const { kind } of round) this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    for (const node of this.#stage.nodes) await node.poll();
    if (round.some(({ kind }) => kind === 'postgres restored')) await this.#stage.save();
    this.#crowd.guestComesOrGoes();
    this.#crowd.write(true);
    await delay(1000);
    await inflictRound(this.#stage, round, () => {
      this.#recorder.restored();
      this.#crowd.restored();
    });
    // somebody leaves, or comes, of whom Redis has just forgotten everything
    if (round.some(({ kind }) => kind === 'redis flushed')) this.#crowd.guestComesOrGoes();
    await this.#recover(round);
    this.#crowd.write(false);
    await this.#quiet();
    await this.#checker.check();
    for (const node of this.#stage.nodes) {
      await node.poll();
      for (const text of node.faults) this.#recorder.find('process', text);
      node.faults.clear();
    }
    this.#crowd.settled();
    this.#crowd.reopenRooms();
  }

  report(): Omit<ClusterReport, 'seconds'> {
    const names: Counter[] = [
      'parley_fanout_repaired_total',
      'parley_outbox_relayed_total',
      'parley_writer_retries_total',
      'parley_fanout_publish_failures_total',
      'parley_slow_consumers_total',
    ];
    const sum = (name: Counter): number => this.#stage.nodes.reduce((all, node) => all + node.count(name), 0);
    return {
      rounds: this.#rounds,
      faults: this.#faults,
      recorder: this.#recorder,
      stored: this.#checker.stored,
      leaves: this.#crowd.leaves,
      removals: this.#crowd.removals,
      counters: Object.fromEntries(names.map((name) => [name, sum(name)])),
      gaps: this.#crowd.readers.reduce((all, { reader }) => all + reader.gaps, 0),
      slowestPresenceMs: Math.round(this.#slowestPresenceMs),
    };
  }

  /** The crowd goes on writing until each of them is in sync with what was acknowledged at the end of the fault. */
  async #recover(round: Round): Promise<void> {
    const end = performance.now();
    const heads = new Map(this.#recorder.heads);
    const reached = (room: string, seq: number): boolean => seq >= (heads.get(room) ?? 0);
    const inSync = new Map<string, number>();
    const nextAck = new Map<string, number>();
    const { devices, readers } = this.#crowd;
    while (inSync.size < devices.length + readers.length || nextAck.size < devices.length) {
      const ms = performance.now() - end;
      for (const { name, client, rooms, ackedAt } of devices) {
        if (!nextAck.has(name) && ackedAt > end) nextAck.set(name, ackedAt - end);
        if (inSync.has(name) || client.state.value.status !== 'connected') continue;
        const states = rooms.map((room) => ({ room, ...client.room(room).state.value }));
        if (
          states.every(({ room, status, messages }) => status === 'ready' && reached(room, messages.at(-1)?.seq ?? 0))
        )
          inSync.set(name, ms);
      }
      for (const { name, reader, room } of readers) {
        if (!inSync.has(name) && reader.ready && reached(room, reader.cursor)) inSync.set(name, ms);
      }
      if (ms > stallLimitMs) {
        const late = devices.filter(({ name }) => !inSync.has(name) || !nextAck.has(name));
        this.#recorder.find('stalled', `after ${stallLimitMs} ms: ${late.map(({ name }) => name).join()}`);
        await this.#reportAll();
        break;
      }
      await delay(10);
    }
    const report = {
      kind: round.length > 1 ? 'mixed' : (round[0]?.kind ?? ''),
      inSyncMs: [...inSync.values()],
      nextAckMs: [...nextAck.values()],
      stallMs: devices.map(({ stallMs }) => stallMs),
    };
    this.#rounds.push(report);
    this.#say(
      `  all in sync after ${worst(report.inSyncMs)} ms, next acks within ${worst(report.nextAckMs)} ms; longest stall ${worst(report.stallMs)} ms`,
    );
  }

  /** Nothing is under way: every send is answered, every view is at its head, presence is right, the outbox is empty. */
  async #quiet(): Promise<void> {
    await this.#await('every send is answered', quietLimitMs, () => {
      const waiting = this.#recorder.waiting();
      return waiting.length === 0 ? undefined : `${waiting.length} wait, such as ${waiting[0]?.key}`;
    });
    const heads = await this.#stage.sql<{ id: string; last_seq: number }[]>`select id, last_seq from rooms`;
    const head = new Map(heads.map(({ id, last_seq }) => [id, last_seq]));
    await this.#await('every view is at the head', quietLimitMs, () => this.#behind(head));
    const from = performance.now();
    await this.#await('presence is right', presenceLimitMs, () => {
      const wrong = this.#crowd.wrongPresence();
      return wrong.length === 0 ? undefined : wrong.join(', ');
    });
    this.#slowestPresenceMs = Math.max(this.#slowestPresenceMs, performance.now() - from);
    await this.#await('the outbox is drained', quietLimitMs, async () => {
      const [row] = await this.#stage.sql<[{ rows: number }]>`select count(*)::int as rows from outbox`;
      return row.rows === 0 ? undefined : `${row.rows} rows`;
    });
    await this.#stage.ready(quietLimitMs);
  }

  /** Reports the state of clients and nodes, from which the cause of a finding can be found. */
  async #reportAll(): Promise<void> {
    for (const { name, client, rooms, address } of this.#crowd.devices) {
      const views = rooms.map((room) => {
        const { status, messages } = client.room(room).state.value;
        return `${room} ${status} ${messages.at(-1)?.seq ?? 0}`;
      });
      this.#say(`  ${name} ${client.state.value.status} at ${address()}: ${views.join(', ')}`);
    }
    for (const node of this.#stage.nodes) this.#say(`  ${await node.account()}`);
  }

  #behind(head: ReadonlyMap<string, number>): string | undefined {
    for (const { name, client, rooms } of this.#crowd.devices) {
      for (const room of rooms) {
        const { status, messages } = client.room(room).state.value;
        const at = messages.at(-1)?.seq ?? 0;
        if (status !== 'ready' || at !== (head.get(room) ?? 0))
          return `${name} (${client.state.value.status}) has ${room} ${status} at ${at} of ${head.get(room)}`;
      }
    }
    for (const { name, reader, room } of this.#crowd.readers) {
      if (reader.cursor !== head.get(room)) return `${name} has ${room} at ${reader.cursor} of ${head.get(room)}`;
    }
    return undefined;
  }

  async #await(
    what: string,
    limitMs: number,
    wrong: () => string | undefined | Promise<string | undefined>,
  ): Promise<void> {
    for (const deadline = performance.now() + limitMs; ;) {
      const why = await wrong();
      if (why === undefined) return;
      if (performance.now() > deadline) {
        const kind = what.startsWith('presence') ? 'presence' : 'stalled';
        this.#recorder.find(kind, `${limitMs} ms in vain until ${what}: ${why}`);
        return this.#reportAll();
      }
      await delay(20);
    }
  }
}
