/** The built server as a process of its own, as an operator runs it. `npm run build` must have been run. */
import { spawn } from 'node:child_process';
import { constants, cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signToken } from '../../src/sessions/tokens.ts';
import { readMetrics, type MetricValues } from './metrics.ts';
import { embeddedTemplate, guardMark, programBundle, temporaryFolder } from './processes.ts';
import { until } from './until.ts';

/** The program as `npm run build` makes it. */
export const built = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** The program that the tests start: within a test run the built program in one file, which starts faster. */
export const entry = process.env[programBundle] ?? built;

/**
 * A process that waits for the end of this one, however it ends, and then kills its remaining children. Their ids come on the
 * standard input, which the kernel closes.
 */
const guard = (() => {
  const script = `
    const pids = new Set();
    const lines = require('node:readline').createInterface(process.stdin);
    lines.on('line', (line) => line[0] === '+' ? pids.add(+line) : pids.delete(-line));
    lines.on('close', () => { for (const pid of pids) try { process.kill(pid, 'SIGKILL') } catch {} });`;
  const child = spawn(process.execPath, ['-e', script, guardMark], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  (child.stdin as Socket).unref();
  return child.stdin;
})();

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Program {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Undefined while it runs. */
  ended(): Exit | undefined;
  kill(signal: NodeJS.Signals): void;
  exit(limitMs?: number): Promise<Exit>;
}

export type Env = Readonly<Record<string, string>>;

/** Starts `parley <args>`; nothing of this process's environment but PATH is passed on. */
export function startProgram(args: readonly string[], env: Env, cwd?: string): Program {
  // an inspector counts objects by the names of their classes, and one file with all modules renames classes of one name
  const program = env['NODE_OPTIONS']?.includes('--inspect') === true ? built : entry;
  if (!existsSync(program)) throw new Error('dist/main.js is missing: run `npm run build` first');
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const pid = child.pid ?? 0;
  guard.write(`+${pid}\n`);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-200_000)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-200_000)));
  let ended: Exit | undefined;
  // close, not exit: the last words have been read by then
  child.once('close', (code, signal) => {
    guard.write(`-${pid}\n`);
    ended = { code, signal };
  });
  return {
    pid,
    stdout: () => stdout,
    stderr: () => stderr,
    ended: () => ended,
    kill: (signal) => kill(pid, signal),
    exit: (limitMs = 30_000) => until(`parley ${args.join(' ')} ends`, () => ended, limitMs),
  };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended already
  }
}

export interface SpawnedServer extends Program {
  readonly url: string;
  metrics(): Promise<MetricValues>;
}

/** Starts a server and waits until it listens. Without PORT it takes a free one. */
export async function spawnServer(env: Env, cwd?: string): Promise<SpawnedServer> {
  const program = startProgram(
    ['serve'],
    { PARLEY_LOG_LEVEL: 'warn', PORT: '0', PARLEY_ADDING: 'direct', ...env },
    cwd,
  );
  const url = await until(
    'the server listens',
    () => {
      const ended = program.ended();
      if (ended !== undefined) {
        throw new Error(`the server ended with ${ended.signal ?? ended.code}: ${program.stderr()}${program.stdout()}`);
      }
      return /listens on (http:\/\/\S+)/.exec(program.stdout())?.[1];
    },
    60_000,
  );
  return { ...program, url, metrics: () => readMetrics(url) };
}

/** Runs `parley <args>` to its end. */
export async function runProgram(
  args: readonly string[],
  env: Env,
  cwd?: string,
): Promise<Exit & { stdout: string; stderr: string }> {
  const program = startProgram(args, env, cwd);
  const exit = await program.exit();
  return { ...exit, stdout: program.stdout(), stderr: program.stderr() };
}

export interface DataDir {
  readonly path: string;
  /** A token of the demo that keeps its data here. */
  readonly tokenOf: (user: string) => Promise<string>;
  remove(): void;
}

/** A folder for the embedded database; within a test run one that has had its first start. */
export function makeDataDir(): DataDir {
  const folder = temporaryFolder('parley-data-');
  const path = join(folder, 'data');
  const template = process.env[embeddedTemplate];
  if (template !== undefined)
    cpSync(template, join(path, 'postgres'), { recursive: true, mode: constants.COPYFILE_FICLONE });
  return {
    path,
    tokenOf(user) {
      const secret = readFileSync(join(path, 'jwt-secret'), 'utf8').trim();
      return signToken(secret, { user, ttlSeconds: 3600 });
    },
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
