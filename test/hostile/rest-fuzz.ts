/**
 * REST under generated attack. By hand, on a Postgres of its own, after `npm run build`:
 * `node --import tsx test/hostile/rest-fuzz.ts --cases 1000000 --seed N`; `--only I` repeats one case of that seed.
 */
import { parseArgs } from 'node:util';
import { StoredKeys } from '../../src/api/keys/stored-keys.ts';
import { keyCreateInput } from '../../src/protocol/keys.ts';
import { openServer } from '../../src/storage/database.ts';
import { DescribedAnswers } from '../support/described-answers.ts';
import { total } from '../support/metrics.ts';
import { startPostgres } from '../support/services.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock } from '../support/stock-client.ts';
import { testSecret, tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { Inspector } from './fuzz/inspector.ts';
import { Neighbours, type Latency } from './fuzz/neighbour.ts';
import { Random } from './fuzz/random.ts';
import { abuse } from './rest/abuse.ts';
import { bytesOf, caseOf, smaller, type Case, type Ground, type Operation } from './rest/cases.ts';
import { endedStream } from './rest/ended-streams.ts';
import { HttpPeer } from './rest/http-peer.ts';
import { mebibytes, outcomeLines } from './report-lines.ts';

const atOnce = 24;
/** Cases among 1,000 that break the rules of HTTP, and cases that are streams whose key ends. */
const abusive = 25;
const streaming = 0.2;
/** The parts of a request and of a stream. None may be left after the end of its client. */
const requestParts = ['Serving', 'RequestBody', 'RoomStream', 'LineQueue'];

export interface RestFuzzOptions {
  readonly databaseUrl: string;
  readonly cases: number;
  readonly seed: number;
  /** Cases before memory is first measured. */
  readonly warmUp: number;
  readonly only?: number;
  readonly print?: (line: string) => void;
}

export interface RestFuzzResult {
  readonly cases: number;
  readonly seconds: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly neighbour: Latency;
  readonly faults: readonly string[];
  readonly rssBefore: number;
  /** Bytes of the heap of V8 after a collection. */
  readonly heapBefore: number;
  readonly rssAfter: number;
  readonly heapAfter: number;
  readonly internalErrors: number;
  /** Connections and streams by the gauges, and objects of requests in the heap. */
  readonly left: Readonly<Record<string, number>>;
  readonly printed: string;
  readonly running: boolean;
}

export async function runRestFuzz(options: RestFuzzOptions): Promise<RestFuzzResult> {
  const unlimited = '100000000';
  const server = await spawnServer({
    DATABASE_URL: options.databaseUrl,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_LOG_LEVEL: 'error',
    PARLEY_API_TIERS: 'off',
    PARLEY_API_SENSITIVE_PER_MINUTE: '1000000',
    PARLEY_API_KEY_REQUESTS_PER_HOUR: unlimited,
    PARLEY_API_KEY_FAILURES_PER_MINUTE_PER_ADDRESS: '1000000',
    PARLEY_COMMANDS_PER_SECOND: '1000000',
    PARLEY_COMMAND_BURST: '1000000',
    PARLEY_MAX_EVENT_LOOP_DELAY_MS: '10000',
    PARLEY_MAX_STREAMS_PER_CALLER: '1000',
    // each case comes from an address of its own: an address that sends many wrong keys is blocked
    PARLEY_TRUSTED_PROXIES: '127.0.0.0/8',
    NODE_OPTIONS: '--inspect=127.0.0.1:0',
  });
  try {
    return await new Attack(server, options, await groundOf(server.url, options.databaseUrl)).run();
  } finally {
    server.kill('SIGKILL');
    await server.exit();
  }
}

interface Prepared extends Ground {
  readonly answers: DescribedAnswers;
  readonly admin: string;
}

const bearer = (text: string): string => `Authorization: Bearer ${text}`;

/** The operations of the document, rooms with messages, and keys and tokens that may use them. */
async function groundOf(url: string, databaseUrl: string): Promise<Prepared> {
  const tokens = await Promise.all(Array.from({ length: 4 }, (_, n) => tokenOf(`fuzz-${n}`, { ttlSeconds: 86_400 })));
  const owner = await connectStock(url, tokens[0] ?? '');
  for (let n = 0; n < 3; n++) {
    await owner.ok('room:create', { kind: 'channel', name: `Fuzz ${n}`, id: `fuzz-${n}` });
    for (let seq = 0; seq < 30; seq++) {
      await owner.ok('message:send', { room: `fuzz-${n}`, id: crypto.randomUUID(), body: { text: `fuzz ${seq}` } });
    }
  }
  owner.close();
  // no case knows this room, so that its owner stays
  const steady = await connectStock(url, await tokenOf('steady'));
  await steady.ok('room:create', { kind: 'channel', name: 'Steady', id: 'steady' });
  steady.close();
  const database = await openServer({ url: databaseUrl, poolSize: 1 });
  const { sql } = database;
  const stored = new StoredKeys(sql, { maxKeys: 1000, requestsPerHour: 100_000_000, overlapMs: 1000 });
  const key = async (scopes: string[], rooms = ['*']): Promise<string> =>
    (await stored.create(keyCreateInput.parse({ name: 'fuzz', scopes, rooms }))).text;
  const admin = await key(['admin']);
  const keys = [admin, admin, admin, await key(['publish', 'rooms']), await key(['admin'], ['fuzz-1'])];
  await database.close();
  const document = (await (await fetch(`${url}/api/v1/openapi.json`)).json()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
    readonly components: { readonly schemas: object };
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      // links to files have a server of their own, outside of REST
      .filter(([, { servers }]) => servers === undefined)
      .map(([method, operation]) => {
        const callers = operation.security.flatMap((scheme) => Object.keys(scheme));
        return { ...operation, method: method.toUpperCase(), path, callers } as unknown as Operation;
      }),
  );
  return {
    operations,
    schemas: document.components.schemas,
    keys: keys.map(bearer),
    tokens: tokens.map(bearer),
    answers: new DescribedAnswers(document as never),
    admin,
  };
}

interface Described {
  readonly security: readonly object[];
  readonly servers?: object;
}

class Attack {
  readonly #server: SpawnedServer;
  readonly #options: RestFuzzOptions;
  readonly #ground: Prepared;
  readonly #port: number;
  readonly #outcomes = new Map<string, number>();
  readonly #faults: string[] = [];
  #next = 0;

  constructor(server: SpawnedServer, options: RestFuzzOptions, ground: Prepared) {
    this.#server = server;
    this.#options = options;
    this.#ground = ground;
    this.#port = Number(new URL(server.url).port);
  }

  async run(): Promise<RestFuzzResult> {
    const { cases, warmUp, only } = this.#options;
    const inspector = await Inspector.open(this.#server.stderr());
    const [sender, listener] = [await tokenOf('sender'), await tokenOf('listener')];
    const neighbours = new Neighbours(this.#server.url, { sender, listener });
    await neighbours.start();
    const failed = (): boolean =>
      this.#faults.length > 0 || neighbours.faults.length > 0 || this.#server.ended() !== undefined;
    if (only === undefined) await this.#until(warmUp, failed);
    const [rssBefore, heapBefore] = failed() ? [NaN, NaN] : await this.#calm(inspector);
    const from = performance.now();
    if (only === undefined) await this.#until(warmUp + cases, failed);
    else await this.#one(only, new HttpPeer(this.#port, addressOf(0)));
    const seconds = (performance.now() - from) / 1000;
    const [rssAfter, heapAfter] = failed() ? [NaN, NaN] : await this.#calm(inspector);
    const neighbour = await neighbours.finish();
    neighbours.leave();
    const running = this.#server.ended() === undefined;
    const left = running ? await this.#left(inspector) : {};
    const internalErrors = running ? total(await this.#server.metrics(), 'parley_internal_errors_total') : NaN;
    inspector.close();
    return {
      cases: this.#next,
      seconds,
      outcomes: this.#outcomes,
      neighbour,
      faults: [...this.#faults, ...neighbours.faults],
      rssBefore,
      rssAfter,
      heapBefore,
      heapAfter,
      internalErrors,
      left,
      running,
      printed: (this.#server.stderr() + this.#server.stdout()).replace(
        /^(Debugger|For help|Warning:.*inspect).*\n|^.*listens on.*\n/gm,
        '',
      ),
    };
  }

  async #until(limit: number, failed: () => boolean): Promise<void> {
    const worker = async (_: unknown, n: number): Promise<void> => {
      const peer = new HttpPeer(this.#port, addressOf(n));
      while (this.#next < limit && !failed()) await this.#one(this.#next++, peer);
      peer.close();
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  async #one(number: number, peer: HttpPeer): Promise<void> {
    const { seed } = this.#options;
    const r = new Random(seed, number);
    const kind = r.int(10_000);
    const [key = ''] = this.#ground.keys;
    let [name, sent] = ['request', ''];
    try {
      if (kind < streaming * 10) this.#tally(await endedStream(this.#server.url, this.#ground.admin, r.chance(0.3)));
      else if (kind < abusive * 10) this.#tally(await abuse(r, this.#port, addressOf(number), key));
      else {
        const made = caseOf(r, this.#ground);
        name = made.name;
        sent = bytesOf(made);
        const fault = await this.#faultOf(made, peer, number);
        if (fault !== undefined) this.#faults.push(`seed ${seed}, case ${number}: ${await this.#shrunk(made, fault)}`);
      }
    } catch (error) {
      this.#faults.push(`seed ${seed}, case ${number} (${name}): ${String(error)}\n${JSON.stringify(sent)}`);
    }
  }

  /** @returns the fault of the answer in words; undefined: the answer is right */
  async #faultOf(made: Case, peer: HttpPeer, number: number): Promise<string | undefined> {
    const { method, path, query, name, right } = made;
    const forwarded = `X-Forwarded-For: 10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    peer.write(bytesOf({ ...made, headers: [...made.headers, forwarded] }));
    const answer = await peer.answer(method);
    this.#tally(`${name}, ${answer === undefined ? 'closed' : `${answer.status}`}`);
    if (answer === undefined) return right?.includes(0) === true ? undefined : 'the connection was closed';
    const { status, headers, body } = answer;
    if (status >= 500 && status !== 501) return `the status is ${status}: ${body}`;
    // a refusal of the parser of uWS, which no part of the server sees
    if ((status === 400 || status === 431 || status === 414) && headers.get('x-request-id') === null) return undefined;
    if (right !== undefined && !right.includes(status) && ![401, 403, 404].includes(status)) {
      return `the status is ${status} instead of ${right.join(' or ')}: ${body.slice(0, 300)}`;
    }
    const target = `/api/v1${path}${query.length === 0 ? '' : `?${query.join('&')}`}`;
    const encoded = headers.get('content-encoding') === null ? body : undefined;
    const faults = this.#ground.answers.faults({ method, target, status, headers, body: encoded });
    return faults.length === 0 ? undefined : `${status}, ${faults.join('; ')}\n${body.slice(0, 300)}`;
  }

  /** The smallest request with a fault, by leaving out one part after the other. */
  async #shrunk(whole: Case, found: string): Promise<string> {
    let [smallest, fault] = [whole, found];
    const peer = new HttpPeer(this.#port, addressOf(0));
    for (let tries = 0, again = true; again && tries < 100;) {
      again = false;
      for (const one of smaller(smallest)) {
        tries++;
        // the right status is known for the whole case alone
        const still = await this.#faultOf({ ...one, right: undefined }, peer, tries).catch(String);
        if (still === undefined || kindOf(still) !== kindOf(found)) continue;
        [smallest, fault, again] = [one, still, true];
        break;
      }
    }
    peer.close();
    return `${whole.name}: ${fault}\n${JSON.stringify(bytesOf(smallest))}`;
  }

  #tally(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }

  /** @returns the memory when only the neighbours are left */
  /** @returns the bytes of the process, and those of its heap */
  async #calm(inspector: Inspector): Promise<readonly [rss: number, heap: number]> {
    await until('no stream is left', async () => (await this.#server.metrics()).get('parley_streams') === 0, 30_000);
    for (let times = 0; times < 3; times++) await inspector.collectGarbage();
    const metrics = await this.#server.metrics();
    return [metrics.get('process_resident_memory_bytes') ?? NaN, metrics.get('nodejs_heap_size_used_bytes') ?? NaN];
  }

  async #left(inspector: Inspector): Promise<Record<string, number>> {
    const gauges = async (): Promise<number[]> => {
      const metrics = await this.#server.metrics();
      return [metrics.get('parley_connections') ?? NaN, metrics.get('parley_streams') ?? NaN];
    };
    await until('all clients are gone', async () => (await gauges()).every((value) => value === 0), 30_000);
    await inspector.collectGarbage();
    const [connections = NaN, streams = NaN] = await gauges();
    return { connections, streams, ...(await inspector.count(requestParts)) };
  }
}

/** The fault without the values of its request. */
function kindOf(fault: string): string {
  return fault.slice(0, 40).replaceAll(/\d+/g, '');
}

function addressOf(n: number): string {
  return `127.0.0.${2 + (n % 200)}`;
}

export function reportOf({ outcomes, faults, printed, neighbour, ...rest }: RestFuzzResult): string {
  return [
    ...outcomeLines(outcomes),
    `${rest.cases} cases, ${Math.round(rest.cases / rest.seconds)} a second`,
    `RSS ${mebibytes(rest.rssBefore)} before, ${mebibytes(rest.rssAfter)} after`,
    `heap ${mebibytes(rest.heapBefore)} before, ${mebibytes(rest.heapAfter)} after`,
    `neighbour: ${neighbour.messages} messages, p99 ${neighbour.p99.toFixed(1)} ms, max ${neighbour.max.toFixed(1)} ms`,
    `internal errors ${rest.internalErrors}, left ${JSON.stringify(rest.left)}, running ${rest.running}`,
    ...(printed === '' ? [] : [`printed: ${printed}`]),
    ...faults.slice(0, 5),
  ].join('\n');
}

if (process.argv[1]?.endsWith('hostile/rest-fuzz.ts') === true) {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      only: { type: 'string' },
    },
  });
  const postgres = await startPostgres();
  try {
    const result = await runRestFuzz({
      databaseUrl: postgres.url,
      cases: Number(values.cases),
      seed: Number(values.seed),
      warmUp: 20_000,
      ...(values.only === undefined ? {} : { only: Number(values.only) }),
    });
    console.log(`seed ${values.seed}\n${reportOf(result)}`);
    const isClean = result.faults.length === 0 && result.internalErrors === 0 && result.printed === '';
    process.exitCode = isClean && result.running ? 0 : 1;
  } finally {
    await postgres.stop();
  }
}
