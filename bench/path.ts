/**
 * node --import tsx bench/path.ts [--main OTHER/dist/main.js] [--all]
 * The path of one `message:send` and of one `sync` (build first): which files run, and which calls lead from one file into
 * another. A real server on a real Postgres, without Redis, has three connections in one room. V8's precise coverage names
 * the functions that a command runs. A breakpoint in each of them then names its caller, in the order of the calls.
 *
 * - A *hop* is a call from one file to a function of another file. A call that repeats is counted once.
 * - A hop to a *leaf* is counted apart: the function calls no other file, and writes to no socket. A reader trusts its name.
 * - Files of `telemetry/` and of `protocol/`, packages, and Node itself are not counted.
 * - A step that the event loop starts belongs to the function that gave the event loop its callback, and is no hop.
 * - The path begins with the frame on the socket. The path of a send ends with its event on another socket and its ack.
 *   Work that a timer begins later is not of the path.
 *
 * `--all` also prints the hops to leaves.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { freePort, Lab } from './lab.ts';
import { openPostgres, seed } from './postgres.ts';
import { startParley, token } from './servers.ts';

const { values: args } = parseArgs({ options: { main: { type: 'string' }, all: { type: 'boolean', default: false } } });
const main = args.main ?? join(import.meta.dirname, '../dist/main.js');
if (!existsSync(main)) throw new Error(`${main} does not exist: build first`);
const root = join(main, '..');

/** Files whose calls are not counted. */
const uncounted = /^(telemetry|protocol)\//;
/** The functions that write to sockets. They are no leaves. */
const writers = /^transport\/engineio\/(transport-socket|topics)\.ts (send|sendAll|publish)$/;
/** The function of the driver that takes a statement. A function that calls it is no leaf. */
const driver = /\/node_modules\/postgres\/src\/index\.js$/;
/** Every call of the path has this function before it. Timers and other work of the process have not. */
const begin = 'transport/engineio/engine.ts #message';
/** Begins with a rest in `timers/promises`, which no description of a step names. */
const later = 'search/search-index.ts #work';
/** On a loaded machine a stop at each step of the timers takes longer than the timers rest, and the command never ends. */
const isNoTimer = '(Error.stackTraceLimit = 50, !/listOnTimeout/.test(new Error().stack))';
const runs = 3;
const quietMs = 400;
const room = 'path';

interface Place {
  readonly scriptId: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

interface Frame {
  readonly location: Place;
}

interface AsyncTrace {
  /** The beginning of the step of the event loop: `await`, `Promise.then`, `setTimeout`, `Immediate`. */
  readonly description?: string;
  readonly callFrames: readonly Place[];
  readonly parent?: AsyncTrace;
}

interface Paused {
  readonly callFrames: readonly Frame[];
  readonly asyncStackTrace?: AsyncTrace;
}

interface Coverage {
  readonly result: readonly {
    readonly scriptId: string;
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}

/** The inspector of a Node process, over its WebSocket. */
class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #last = 0;
  onPaused: ((paused: Paused) => void) | undefined = undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as {
        id?: number;
        method?: string;
        params?: unknown;
        result?: unknown;
        error?: { message: string };
      };
      if (message.method === 'Debugger.paused') this.onPaused?.(message.params as Paused);
      if (message.id === undefined) return;
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.result as never);
      else waiting?.reject(new Error(message.error.message));
    });
  }

  static async open(port: number): Promise<Inspector> {
    const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
      webSocketDebuggerUrl: string;
    }[];
    if (target === undefined) throw new Error('the process has no inspector');
    const socket = new WebSocket(target.webSocketDebuggerUrl, { maxPayload: 0 });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return new Inspector(socket);
  }

  call<T>(method: string, params: object = {}): Promise<T> {
    const id = ++this.#last;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise<T>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  close(): void {
    this.#socket.close();
  }
}

/** A client that writes frames by hand. */
class Client {
  readonly #socket: WebSocket;
  readonly #frames: string[] = [];
  #arrived: (() => void) | undefined = undefined;

  constructor(port: number, user: string) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
    this.#socket.on('message', (data: Buffer) => {
      const frame = data.toString();
      if (frame.startsWith('0')) this.#socket.send(`40${JSON.stringify({ token: token(user) })}`);
      else if (frame === '2') this.#socket.send('3');
      else this.#frames.push(frame);
      this.#arrived?.();
    });
  }

  send(frame: string): void {
    this.#socket.send(frame);
  }

  /** The next frame that begins so; earlier frames are dropped. */
  async next(prefix: string): Promise<string> {
    const until = Date.now() + 300_000;
    for (;;) {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift()) {
        if (frame.startsWith(prefix)) return frame;
      }
      const left = until - Date.now();
      if (left <= 0) throw new Error(`no frame ${prefix} came`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#arrived = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/** A function of `src`, or of the driver. */
interface Fn {
  readonly file: string;
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

const packageFile = 'postgres';

/** A script of the server: its functions, and its lines. */
class Script {
  readonly scriptId: string;
  readonly functions: readonly Fn[];
  readonly #source: string;
  readonly #lines: number[] = [0];

  constructor(scriptId: string, source: string, functions: readonly Fn[]) {
    this.scriptId = scriptId;
    this.functions = functions;
    this.#source = source;
    for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) this.#lines.push(at + 1);
  }

  place(offset: number): Place {
    const after = this.#lines.findIndex((start) => start > offset);
    const lineNumber = (after === -1 ? this.#lines.length : after) - 1;
    return { scriptId: this.scriptId, lineNumber, columnNumber: offset - (this.#lines[lineNumber] ?? 0) };
  }

  /** Whether the place is in the parameters of the function that begins at `from`. */
  isBeforeBody(from: number, place: Place): boolean {
    return !/\) \{|=>/.test(this.#source.slice(from, this.#offset(place)));
  }

  /** The innermost function around the place. */
  at(place: Place): Fn | undefined {
    const offset = this.#offset(place);
    return this.functions
      .filter(({ from, to }) => from <= offset && offset <= to)
      .reduce<Fn | undefined>((least, one) => (least === undefined || one.from >= least.from ? one : least), undefined);
  }

  #offset({ lineNumber, columnNumber }: Place): number {
    return (this.#lines[lineNumber] ?? 0) + columnNumber;
  }
}

function fileOf(url: string): string | undefined {
  if (driver.test(url)) return packageFile;
  if (!url.startsWith('file://')) return undefined;
  const path = relative(root, fileURLToPath(url));
  return path.startsWith('..') || path.includes('node_modules') ? undefined : path.replace(/\.js$/, '.ts');
}

interface Call {
  readonly from: Fn;
  readonly to: Fn;
}

/** The functions that ran since the last call of this function, and the places of their first steps. */
async function ranSince(inspector: Inspector): Promise<{ scripts: Map<string, Script>; places: Place[] }> {
  const { result } = await inspector.call<Coverage>('Profiler.takePreciseCoverage');
  const scripts = new Map<string, Script>();
  const places: Place[] = [];
  for (const { scriptId, url, functions } of result) {
    const file = fileOf(url);
    if (file === undefined) continue;
    const { scriptSource } = await inspector.call<{ scriptSource: string }>('Debugger.getScriptSource', { scriptId });
    const ranges = functions.flatMap(({ functionName: name, ranges: [range] }) =>
      range === undefined || range.startOffset === 0 ? [] : [{ name, ...range }],
    );
    const known = ranges.map(({ name, startOffset: from, endOffset: to }) => ({ file, name, from, to }));
    const script = new Script(scriptId, scriptSource, known);
    scripts.set(scriptId, script);
    const first = await Promise.all(
      ranges.filter(({ count }) => count > 0).map((range) => firstPlaces(inspector, script, range)),
    );
    places.push(...first.flat());
  }
  return { scripts, places };
}

/** Where a breakpoint sees each call of the function. */
async function firstPlaces(
  inspector: Inspector,
  script: Script,
  { startOffset, endOffset }: { readonly startOffset: number; readonly endOffset: number },
): Promise<Place[]> {
  const { locations } = await inspector.call<{ locations: Place[] }>('Debugger.getPossibleBreakpoints', {
    start: script.place(startOffset),
    end: script.place(endOffset),
    restrictToFunction: true,
  });
  // the defaults of parameters do not always run
  const body = locations.findIndex((place) => !script.isBeforeBody(startOffset, place));
  return locations.slice(0, Math.max(body, 0) + 1);
}

/** Runs the command once more with a breakpoint in each place. @returns the calls, in their order */
async function callsOf(
  inspector: Inspector,
  { scripts, places }: { readonly scripts: ReadonlyMap<string, Script>; readonly places: readonly Place[] },
  command: () => Promise<void>,
): Promise<Call[]> {
  const calls: Call[] = [];
  let pausedAt = 0;
  const functionAt = (place: Place): Fn | undefined => scripts.get(place.scriptId)?.at(place);
  inspector.onPaused = ({ callFrames, asyncStackTrace }) => {
    void inspector.call('Debugger.resume');
    const [to, ...callers] = callFrames.map(({ location }) => functionAt(location));
    const stack = callers.filter((fn) => fn !== undefined);
    for (let at = asyncStackTrace; at !== undefined; at = at.parent) {
      if (/timeout/i.test(at.description ?? '')) return;
      stack.push(...at.callFrames.map(functionAt).filter((fn) => fn !== undefined));
    }
    const [from] = stack;
    if (to === undefined || from === undefined || from === to || from.file === packageFile) return;
    pausedAt = performance.now();
    const names = [to, ...stack].map(nameOf);
    if (names.includes(begin) && !names.includes(later)) calls.push({ from, to });
  };
  await inspector.call('Debugger.setBreakpointsActive', { active: false });
  const set = await Promise.all(
    places.map((location) =>
      inspector.call<{ breakpointId: string }>('Debugger.setBreakpoint', { location, condition: isNoTimer }),
    ),
  );
  await inspector.call('Debugger.setBreakpointsActive', { active: true });
  await command();
  // the turn of the last write goes on
  while (performance.now() - pausedAt < quietMs) await sleep(quietMs);
  await Promise.all(set.map((breakpoint) => inspector.call('Debugger.removeBreakpoint', breakpoint)));
  inspector.onPaused = undefined;
  return calls;
}

function nameOf({ file, name }: Fn): string {
  return `${file} ${name === '' ? '(callback)' : name}`;
}

function isHop({ from, to }: Call): boolean {
  return from.file !== to.file && !uncounted.test(from.file) && !uncounted.test(to.file);
}

/** The functions that are no leaves. A function of the same file belongs to its caller. */
function leading(calls: readonly Call[]): ReadonlySet<Fn> {
  const found = new Set<Fn>(calls.filter(isHop).map(({ from }) => from));
  for (const { to } of calls) if (writers.test(nameOf(to))) found.add(to);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const { from, to } of calls) if (from.file === to.file && found.has(to)) found.add(from);
  }
  return found;
}

function report(title: string, calls: readonly Call[]): void {
  const followed = leading(calls);
  const hops = new Map<string, { readonly call: Call; readonly isLeaf: boolean }>();
  for (const call of calls) {
    const key = `${call.from.file} > ${nameOf(call.to)} ${call.to.from}`;
    if (!isHop(call) || call.to.file === packageFile || hops.has(key)) continue;
    hops.set(key, { call, isLeaf: !followed.has(call.to) });
  }
  const all = [...hops.values()];
  const counted = all.filter(({ isLeaf }) => !isLeaf);
  const filesOf = (of: typeof all): number =>
    new Set(of.flatMap(({ call: { from, to } }) => [from.file, to.file])).size;
  console.log(`\n${title}: ${filesOf(counted)} files, ${counted.length} hops`);
  console.log(`  (with leaves: ${filesOf(all)} files, ${all.length} hops)`);
  let n = 0;
  for (const { call, isLeaf } of all) {
    if (isLeaf && !args.all) continue;
    console.log(`  ${isLeaf ? '   ' : String(++n).padStart(3)}  ${nameOf(call.from)}  →  ${nameOf(call.to)}`);
  }
}

const lab = await Lab.open();
const database = await openPostgres();
if (typeof database === 'string') throw new Error(database);
const clients: Client[] = [];
let inspector: Inspector | undefined;
try {
  const inspectorPort = await freePort();
  const build = { main, nodeFlags: [`--inspect=127.0.0.1:${inspectorPort}`] };
  // each breakpoint stops the process for some milliseconds, which must not count as overload
  const { port } = await startParley(lab, build, database.url, {
    PARLEY_MAX_EVENT_LOOP_DELAY_MS: '10000',
    PARLEY_DRAIN_MS: '0',
  });
  const users = ['sender', 'reader', 'other'];
  await seed(
    database,
    users.map((user) => ({ room, user })),
  );
  for (const user of users) clients.push(new Client(port, user));
  for (const client of clients) await client.next('42["ready"');
  const [sender, reader] = clients as [Client, Client];
  const send = async (): Promise<void> => {
    sender.send(`421${JSON.stringify(['message:send', { room, id: crypto.randomUUID(), body: { text: 'a line' } }])}`);
    await Promise.all([sender.next('431[{"ok":true'), reader.next('42["message"')]);
  };
  const sync = async (): Promise<void> => {
    reader.send(`421${JSON.stringify(['sync', { cursors: { [room]: 1 } }])}`);
    await reader.next('431[{"ok":true');
  };
  for (let i = 0; i < 3; i++) await send();
  for (let i = 0; i < 3; i++) await sync();
  inspector = await Inspector.open(inspectorPort);
  await inspector.call('Profiler.enable');
  await inspector.call('Debugger.enable');
  await inspector.call('Debugger.setAsyncCallStackDepth', { maxDepth: 100 });
  for (const [title, command] of [
    ['message:send', send],
    ['sync', sync],
  ] as const) {
    await inspector.call('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    for (let i = 0; i < 3; i++) await command();
    const ran = await ranSince(inspector);
    await inspector.call('Profiler.stopPreciseCoverage');
    const found: Call[][] = [];
    for (let i = 0; i < runs; i++) found.push(await callsOf(inspector, ran, command));
    // a breakpoint is missed now and then
    report(title, found.toSorted((a, b) => b.length - a.length).flat());
  }
} finally {
  inspector?.close();
  for (const client of clients) client.close();
  await lab.close();
  await database.stop();
}
