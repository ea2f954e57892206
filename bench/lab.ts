/**
 * The child processes and the temporary folder of a run. The lab ends them at the end, on failure, and on Ctrl-C, and signals
 * only processes that it started, by their pid.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Child {
  readonly pid: number;
  /** Writes a line to its stdin. */
  write(line: string): void;
  /** The next line of its stdout. @throws when it ends first or does not answer in time. */
  line(timeoutMs: number): Promise<string>;
  stop(): Promise<void>;
}

interface StartOptions {
  env?: Record<string, string>;
  /** SIGTERM for servers that drain, SIGINT for Postgres. */
  stopSignal?: NodeJS.Signals;
  uid?: number;
  gid?: number;
  cwd?: string;
}

export class Lab {
  readonly folder: string;
  readonly #children = new Set<Child>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Lab> {
    return new Lab(await mkdtemp(join(tmpdir(), 'parley-bench-')));
  }

  async file(name: string, lines: readonly string[]): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, lines.join('\n') + '\n');
    return path;
  }

  start(command: string, args: readonly string[], options: StartOptions = {}): Child {
    const { stopSignal = 'SIGTERM', env, ...rest } = options;
    const process_ = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...withoutParley(process.env), ...env },
      ...rest,
    });
    const child = new RunningChild(command, args, process_, stopSignal, () => this.#children.delete(child));
    this.#children.add(child);
    return child;
  }

  /** Ends the processes that `work` has started, so that no row runs beside the servers of the row before. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    const before = new Set(this.#children);
    try {
      return await work();
    } finally {
      await this.#stop([...this.#children].filter((child) => !before.has(child)));
    }
  }

  /** Youngest first: clients before servers, servers before Postgres. */
  async #stop(children: readonly Child[]): Promise<void> {
    for (const child of children.toReversed()) await child.stop();
  }

  async close(): Promise<void> {
    await this.#stop([...this.#children]);
    await rm(this.folder, { recursive: true, force: true });
  }
}

class RunningChild implements Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #signal: NodeJS.Signals;
  readonly #lines: string[] = [];
  #waiting: (() => void) | undefined;
  #said = '';
  readonly #ended: Promise<void>;
  #over = false;

  constructor(command: string, args: readonly string[], child: ChildProcess, signal: NodeJS.Signals, gone: () => void) {
    this.#process = child;
    this.#name = `${command} ${args.slice(0, 2).join(' ')}`;
    this.#signal = signal;
    this.#ended = new Promise((resolve) => {
      const end = (why: string): void => {
        this.#over = true;
        this.#said = `${this.#said}${why}\n`.slice(-2000);
        gone();
        this.#waiting?.();
        resolve();
      };
      child.on('exit', (code, by) => end(`ended with ${code ?? by}`));
      child.on('error', (error) => end(error.message));
    });
    child.stdin?.on('error', () => undefined); // the child may have ended, which line() shows
    child.stderr?.on('data', (chunk: Buffer) => (this.#said = `${this.#said}${chunk.toString()}`.slice(-2000)));
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.#lines.push(line);
        if (this.#lines.length > 1000) this.#lines.shift(); // the log of a talkative server, which no part reads
        this.#waiting?.();
      });
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  write(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  async line(timeoutMs: number): Promise<string> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      if (this.#over) throw new Error(`${this.#name} ended: ${this.#said.trim()}`);
      const left = until - Date.now();
      if (left <= 0) throw new Error(`${this.#name} did not answer in ${timeoutMs} ms. ${this.#said.trim()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async stop(): Promise<void> {
    if (this.#over) return;
    this.#process.stdin?.end();
    this.#process.kill(this.#signal);
    if ((await Promise.race([this.#ended.then(() => 'ended'), sleep(12_000, 'late', { ref: false })])) === 'ended')
      return;
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

/** The bench sets every key that it needs. A key of the shell would silently change the figures. */
function withoutParley(env: NodeJS.ProcessEnv): Record<string, string> {
  const foreign = /^(PARLEY_|DATABASE_URL$|REDIS_URL$|PORT$|NODE_OPTIONS$|NODE_V8_COVERAGE$)/;
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined && !foreign.test(pair[0])),
  );
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** The processor time of a process so far, with all threads, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime and stime, in ticks of a hundredth of a second on every Linux there is
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
