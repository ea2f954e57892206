/* oxlint-disable unicorn/consistent-function-scoping -- each function stands beside its use */
/**
 * Random statements, transactions, failures, timeouts and cancellations on one pool, while its connections are cut. Each
 * operation checks its own answer. Each stored row has a unique number, so that the end can be compared.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import type { Proxy } from './proxy.ts';

export interface FuzzOptions {
  readonly sql: postgres.Sql;
  /** Not through the proxy. */
  readonly admin: postgres.Sql;
  readonly proxy: Proxy;
  readonly seed: number;
  readonly operations: number;
  /** Operations under way at once. */
  readonly atOnce: number;
  /** Operations between two faults. */
  readonly faultEvery: number;
}

export interface FuzzOutcome {
  /** A sentence for each wrong answer. */
  readonly wrong: string[];
  /** Acknowledged inserts. */
  readonly stored: Set<number>;
  /** Inserts whose transaction was undone by its owner. */
  readonly undone: Set<number>;
  readonly answered: number;
  /** Operations that failed because of a fault or of a cancellation. */
  readonly failed: number;
  /** How often each kind was done. */
  readonly kinds: Map<string, number>;
}

/** mulberry32 */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The errors of a fault or a cancellation in place of the result. A cancel request may stop another statement. */
const faults = /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|57P01|57014|ERR_STREAM)/;
const codeOf = (error: unknown): string => (error as { code?: string }).code ?? (error as Error).message;

class Wrong extends Error {}
const same = (what: string, seen: unknown, wanted: unknown): void => {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (a !== b) throw new Wrong(`${what}: ${a?.slice(0, 200)} instead of ${b?.slice(0, 200)}`);
};
const fails = async (what: string, code: string, requested: PromiseLike<unknown>): Promise<void> => {
  const seen = await Promise.resolve(requested).then(() => 'an answer', codeOf);
  if (seen === code) return;
  if (faults.test(seen)) throw Object.assign(new Error(seen), { code: seen });
  throw new Wrong(`${what}: ${seen} instead of ${code}`);
};

type Operation = (n: number, random: () => number) => Promise<void>;

const insert = (on: postgres.ISql, n: number) => on`insert into fuzz values (${n}) returning n`;

/** Each with its weight. */
function operationsOn({ sql }: FuzzOptions, stored: Set<number>, undone: Set<number>): [string, number, Operation][] {
  const one = async (on: postgres.ISql, n: number): Promise<void> =>
    same('select', await on`select ${n}::int as n`, [{ n }]);
  const series = async (on: postgres.ISql, n: number, random: () => number): Promise<void> => {
    const count = 1 + Math.floor(random() * 40);
    const rows = await on<
      { i: number; n: number }[]
    >`select i, ${n}::int as n from generate_series(1, ${count}::int) i`;
    same('series', [rows.length, rows[0], rows.at(-1)], [count, { i: 1, n }, { i: count, n }]);
  };
  const dividing = (on: postgres.ISql, n: number) =>
    on`select ${n}::int as n, 10 / (9 - i) from generate_series(1, 50) i`;

  const transaction: Operation = async (n, random) => {
    const end = random();
    const commits = end < 0.7;
    const begun = sql.begin(async (tx) => {
      same('insert', await insert(tx, n), [{ n }]);
      if (random() < 0.5) await Promise.all([one(tx, n), series(tx, n, random), one(tx, n + 1)]);
      if (random() < 0.3) {
        await tx.savepoint((inner) => one(inner, n));
        const failing = tx.savepoint(async (inner) => {
          await insert(inner, n);
        });
        await fails('savepoint', '23505', failing);
      }
      if (end > 0.9) await dividing(tx, n);
      if (end > 0.8) {
        await tx`set local statement_timeout = 2`;
        await tx`select pg_sleep(1)`;
      }
      if (!commits) throw Object.assign(new Error('undone'), { code: 'UNDONE' });
    });
    if (commits) {
      await begun;
      stored.add(n);
    } else {
      undone.add(n);
      await fails('transaction', end > 0.9 ? '22012' : end > 0.8 ? '57014' : 'UNDONE', begun);
    }
  };

  const reserve: Operation = async (n) => {
    const own = await sql.reserve();
    try {
      await one(own, n);
      await own`begin`;
      await insert(own, n);
      await own`commit`;
      stored.add(n);
    } finally {
      own.release();
    }
  };

  const cancel: Operation = async (n, random) => {
    const query = random() < 0.5 ? sql`select ${n}::int as n, pg_sleep(0.02)` : sql`select ${n}::int as n`;
    const requested = query.execute();
    if (random() < 0.7) await delay(random() * 3);
    // the driver returns the promise of the request, its types do not say so
    const sent = query.cancel() as unknown as Promise<unknown> | undefined;
    sent?.catch(() => {});
    same('cancelled', (await requested)[0]?.['n'], n);
  };

  const copy: Operation = async (n) => {
    const text = [`${n}\n`];
    await pipeline(Readable.from(text), await sql`copy fuzz from stdin`.writable());
    stored.add(n);
    let seen = '';
    for await (const chunk of await sql.unsafe(`copy (select ${n}) to stdout`).readable()) seen += String(chunk);
    same('copy', seen, `${n}\n`);
  };

  const cursor: Operation = async (n, random) => {
    const requested = sql`select i, ${n}::int as n from generate_series(1, 30) i`.cursor(7);
    let seen = 0;
    const leaveAt = random() < 0.3 ? 8 : 31;
    for await (const rows of requested) {
      same('cursor', rows[0], { i: seen + 1, n });
      seen += rows.length;
      if (seen >= leaveAt) return;
    }
    same('cursor', seen, 30);
  };

  return [
    ['select', 60, (n) => one(sql, n)],
    ['series', 14, (n, random) => series(sql, n, random)],
    [
      'insert',
      8,
      async (n) => {
        same('insert', await insert(sql, n), [{ n }]);
        stored.add(n);
      },
    ],
    ['transaction', 6, transaction],
    ['a failure among rows', 4, (n) => fails('dividing', '22012', dividing(sql, n))],
    [
      'a failure of forEach',
      1,
      (n) =>
        fails(
          'forEach',
          '22012',
          dividing(sql, n).forEach(() => {}),
        ),
    ],
    [
      'a failure of a cursor',
      1,
      (n) =>
        fails(
          'cursor',
          '22012',
          dividing(sql, n).cursor(3, () => {}),
        ),
    ],
    [
      'a value that cannot be written',
      1,
      (n) => fails('value', 'Invalid time value', sql`select ${9e15}::timestamptz, ${n}::int`),
    ],
    ['a statement that does not parse', 1, (n) => fails('parse', '42601', sql`selec ${n}`)],
    [
      'simple',
      1,
      async (n) =>
        same('simple', await sql.unsafe(`select ${n} as a; select ${n + 1} as b`), [[{ a: n }], [{ b: n + 1 }]]),
    ],
    [
      'description',
      0.5,
      async (n) => {
        const { columns } = await sql`select ${n}::int as described`.describe();
        same('description', columns[0]?.name, 'described');
      },
    ],
    ['cursor', 1, cursor],
    ['reserve', 0.7, reserve],
    ['copy', 0.4, copy],
    ['cancellation', 0.4, cancel],
  ];
}

function faultsOf({ proxy, admin }: FuzzOptions): (() => Promise<unknown> | void)[] {
  const back = (fault: () => void) => () => {
    fault();
    proxy.restore();
  };
  return [
    back(() => proxy.cut()),
    () => proxy.finish(),
    () => proxy.tear(),
    () => admin`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'parley' and pid <> pg_backend_pid() order by random() limit 2`,
  ];
}

export async function fuzz(options: FuzzOptions): Promise<FuzzOutcome> {
  const random = randomOf(options.seed);
  const [wrong, stored, undone, kinds] = [
    [] as string[],
    new Set<number>(),
    new Set<number>(),
    new Map<string, number>(),
  ];
  const operations = operationsOn(options, stored, undone);
  const total = operations.reduce((sum, [, weight]) => sum + weight, 0);
  const breaks = faultsOf(options);
  let [next, answered, failed] = [0, 0, 0];
  const pick = (): [string, number, Operation] => {
    let left = random() * total;
    return operations.find(([, weight]) => (left -= weight) <= 0) ?? (operations[0] as [string, number, Operation]);
  };
  const work = async (): Promise<void> => {
    while (next < options.operations && wrong.length < 20) {
      const n = next++;
      if (n % options.faultEvery === options.faultEvery - 1) await breaks[Math.floor(random() * breaks.length)]?.();
      const [name, , operation] = pick();
      kinds.set(name, (kinds.get(name) ?? 0) + 1);
      await operation(n, randomOf(options.seed ^ n)).then(
        () => answered++,
        (error: unknown) => {
          if (error instanceof Wrong || !faults.test(codeOf(error))) wrong.push(`${n} ${name}: ${String(error)}`);
          else failed++;
        },
      );
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, work));
  return { wrong, stored, undone, answered, failed, kinds };
}
