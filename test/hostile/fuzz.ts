/**
 * A server under generated attack. By hand, on a Postgres of its own:
 * `node --import tsx test/hostile/fuzz.ts --cases 5000000 --seed N`; `--only I` repeats one exchange of that seed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { total } from '../support/metrics.ts';
import { startPostgres } from '../support/services.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock } from '../support/stock-client.ts';
import { testSecret, tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { Inspector } from './fuzz/inspector.ts';
import { Neighbours, type Latency } from './fuzz/neighbour.ts';
import { Random } from './fuzz/random.ts';
import { badRequests, brokenRequest, pollingSession } from './fuzz/requests.ts';
import { msgpackSession, rawSession, resetSession, strangerSession, textSession } from './fuzz/sessions.ts';
import type { Exchange } from './fuzz/exchange.ts';
import { mebibytes, outcomeLines } from './report-lines.ts';

const kinds: readonly [share: number, run: (exchange: Exchange) => Promise<void>][] = [
  [30, textSession],
  [20, msgpackSession],
  [15, strangerSession],
  [12, rawSession],
  [6, badRequests],
  [5, brokenRequest],
  [7, pollingSession],
  [5, resetSession],
];
const wheel = kinds.flatMap(([share, run]) => Array.from({ length: share }, () => run));
const atOnce = 24;
/** The parts of a session. None may be left after the end of its client. */
const sessionParts = ['Connection', 'PollingWire', 'Candidate', 'Assembly'];

export interface FuzzOptions {
  readonly databaseUrl: string;
  readonly cases: number;
  readonly seed: number;
  /** Cases before memory is first measured: code that is compiled and data that is cached once are there by then. */
  readonly warmUp: number;
  readonly only?: number;
  /** When to stop, however many cases there were. */
  readonly maxSeconds?: number;
  readonly print?: (line: string) => void;
}

export interface FuzzResult {
  readonly cases: number;
  readonly exchanges: number;
  readonly seconds: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly neighbour: Latency;
  readonly faults: readonly string[];
  /** After warm-up, and when all attackers were gone; after a forced collection each. */
  readonly rssBefore: number;
  readonly rssAfter: number;
  readonly internalErrors: number;
  /** Objects of sessions while the two neighbours are still there: what counts them can count. */
  readonly held: Readonly<Record<string, number>>;
  /** Connections of any kind, by the gauge, and objects of sessions, in the heap: all zero when nothing is left. */
  readonly left: Readonly<Record<string, number>>;
  /** The output of the server after its start. */
  readonly printed: string;
  readonly running: boolean;
}

export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const server = await spawnServer({
    DATABASE_URL: options.databaseUrl,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    // the Postgres of tests has no fsync, which a start warns of
    PARLEY_LOG_LEVEL: 'error',
    PARLEY_COMMANDS_PER_SECOND: '1000000',
    PARLEY_COMMAND_BURST: '1000000',
    PARLEY_SIGNALS_PER_SECOND: '1000000',
    PARLEY_SIGNAL_BURST: '1000000',
    PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '1000000',
    PARLEY_CONNECTS_PER_MINUTE_PER_USER: '1000000',
    PARLEY_MAX_ROOMS_PER_USER: '20',
    PARLEY_MAX_EVENT_LOOP_DELAY_MS: '10000',
    // the server soon ends a silent connection
    PARLEY_PING_INTERVAL_MS: '4000',
    PARLEY_PING_TIMEOUT_MS: '6000',
    PARLEY_CONNECT_TIMEOUT_MS: '4000',
    PARLEY_UPGRADE_TIMEOUT_MS: '2000',
    NODE_OPTIONS: '--inspect=127.0.0.1:0',
  });
  try {
    return await attack(server, options);
  } finally {
    server.kill('SIGKILL');
    await server.exit();
  }
}

async function attack(server: SpawnedServer, options: FuzzOptions): Promise<FuzzResult> {
  const { seed, print = () => {} } = options;
  const inspector = await Inspector.open(server.stderr());
  const neighbours = new Neighbours(server.url, {
    sender: await tokenOf('sender'),
    listener: await tokenOf('listener'),
  });
  await neighbours.start();
  const tokens = await Promise.all(
    Array.from({ length: 8 }, (_, n) => tokenOf(`mallory-${n}`, { ttlSeconds: 86_400 })),
  );
  await makePit(server.url, tokens);
  const port = Number(new URL(server.url).port);
  const outcomes = new Map<string, number>();
  const faults: string[] = [];
  let [cases, exchange] = [0, options.only ?? 0];
  const failed = () => faults.length > 0 || neighbours.faults.length > 0 || server.ended() !== undefined;

  const tally = (outcome: string, count = 1): void => {
    cases += count;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
  };
  const one = async (number: number): Promise<void> => {
    const r = new Random(seed, number);
    const run = r.pick(wheel);
    try {
      await run({ r, port, address: `127.0.0.${2 + (number % 200)}`, token: r.pick(tokens), tally });
    } catch (error) {
      faults.push(`seed ${seed}, exchange ${number} (${run.name}): ${String(error)}`);
    }
  };
  const runUntil = async (limit: number): Promise<void> => {
    const worker = async () => {
      while (cases < limit && !failed()) await one(exchange++);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  };
  const calm = async (): Promise<number> => {
    await until(
      'only the neighbours are left',
      async () => failed() || (await server.metrics()).get('parley_connections') === 2,
      30_000,
    );
    for (let times = 0; times < 3; times++) {
      await inspector.collectGarbage();
      await delay(200);
    }
    return (await server.metrics()).get('process_resident_memory_bytes') ?? NaN;
  };

  if (options.only === undefined) await runUntil(options.warmUp);
  const rssBefore = failed() ? NaN : await calm();
  const from = performance.now();
  let paused = 0;
  if (options.only !== undefined) await one(options.only);
  else {
    const step = Math.max(100_000, Math.floor(options.cases / 20));
    const goal = cases + options.cases;
    const late = () => performance.now() - from > (options.maxSeconds ?? Infinity) * 1000;
    for (let next = cases + step; cases < goal && !failed() && !late(); next += step) {
      await runUntil(Math.min(next, goal));
      const pause = performance.now();
      const rss = failed() ? NaN : await calm();
      paused += performance.now() - pause;
      print(`${cases} cases, ${Math.round((performance.now() - from) / 1000)} s, RSS ${mebibytes(rss)}`);
    }
  }
  const seconds = (performance.now() - from - paused) / 1000;
  const rssAfter = failed() ? NaN : await calm();
  const neighbour = await neighbours.finish();
  // the snapshot of the heap stops the server for seconds, which is no fault of it
  const held = failed() ? {} : { ...(await inspector.count(sessionParts)) };
  faults.push(...neighbours.faults);
  neighbours.leave();
  const running = server.ended() === undefined;
  const result = {
    cases,
    exchanges: exchange,
    seconds,
    outcomes,
    neighbour,
    faults,
    rssBefore,
    rssAfter,
    held,
    running,
  };
  const printed = (server.stderr() + server.stdout()).replace(
    /^(Debugger|For help|Warning:.*inspect).*\n|^.*listens on.*\n/gm,
    '',
  );
  if (!running) return { ...result, internalErrors: NaN, left: {}, printed };
  await until('the neighbours are gone too', async () => (await server.metrics()).get('parley_connections') === 0);
  const metrics = await server.metrics();
  await inspector.collectGarbage();
  const left = { connections: metrics.get('parley_connections') ?? NaN, ...(await inspector.count(sessionParts)) };
  inspector.close();
  return { ...result, internalErrors: total(metrics, 'parley_internal_errors_total'), left, printed };
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;

/** A room of the attackers, in which they receive each other in every form of packets. */
async function makePit(url: string, tokens: readonly string[]): Promise<void> {
  for (const [n, token] of tokens.entries()) {
    const client = await connectStock(url, token);
    if (n === 0) await client.ok('room:create', { kind: 'channel', name: 'Pit', id: 'pit' });
    else await client.ok('room:join', { room: 'pit' });
    client.close();
  }
}

export function report(result: FuzzResult): string {
  const { neighbour, rssBefore, rssAfter } = result;
  const { outcomes, faults, printed, ...rest } = result;
  return [
    ...outcomeLines(outcomes),
    `${rest.cases} cases in ${rest.exchanges} exchanges, ${Math.round(rest.cases / rest.seconds)} a second`,
    `RSS ${mebibytes(rssBefore)} before, ${mebibytes(rssAfter)} after (${((rssAfter / rssBefore - 1) * 100).toFixed(1)} %)`,
    `neighbour: ${neighbour.messages} messages, p50 ${ms(neighbour.p50)}, p99 ${ms(neighbour.p99)}, max ${ms(neighbour.max)}`,
    `internal errors ${rest.internalErrors}, held ${JSON.stringify(rest.held)}, left ${JSON.stringify(rest.left)}, running ${rest.running}`,
    ...(printed === '' ? [] : [`printed: ${printed}`]),
    ...faults.slice(0, 5),
  ].join('\n');
}

if (process.argv[1]?.endsWith('hostile/fuzz.ts') === true) {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '5000000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      only: { type: 'string' },
      'max-seconds': { type: 'string', default: 'Infinity' },
    },
  });
  const postgres = await startPostgres();
  try {
    const result = await runFuzz({
      databaseUrl: postgres.url,
      cases: Number(values.cases),
      seed: Number(values.seed),
      warmUp: 50_000,
      maxSeconds: Number(values['max-seconds']),
      ...(values.only === undefined ? {} : { only: Number(values.only) }),
      print: (line) => console.log(line),
    });
    console.log(`seed ${values.seed}\n${report(result)}`);
    const clean = result.faults.length === 0 && result.internalErrors === 0 && result.printed === '';
    process.exitCode = clean && result.running ? 0 : 1;
  } finally {
    await postgres.stop();
  }
}
