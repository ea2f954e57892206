import { randomInt } from 'node:crypto';
import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess, ExecFileOptions } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface Running {
  /** Why it ended, or undefined while it runs. */
  ended(): string | undefined;
  stop(): Promise<void>;
}

export interface RunningServer extends Running {
  readonly pid: number;
  /** Ends it with this signal, and leaves what it wrote to its folder. */
  kill(signal: NodeJS.Signals): Promise<void>;
  printed(text: string): boolean;
  /** The last of what it printed. */
  output(): string;
}

const execute = promisify(execFile);

/** Runs a program to its end; throws with what it printed when it fails. */
export async function run(program: string, args: readonly string[], options: ExecFileOptions = {}): Promise<string> {
  const { stdout } = await execute(program, args, { ...options, encoding: 'utf8' });
  return stdout;
}

/** When this process is root: another user to run as, the named one if it exists. */
export function unprivileged(name: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of [name, 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user: the next one.
    }
  }
  return undefined;
}

/** In the command line of a process that guards another one: it ends with this process. */
export const guardMark = 'parley-test-guard';

/** Names the file of the program that the tests start; see `bundle.ts`. Absent: they start `dist/main.js`. */
export const programBundle = 'TEST_PROGRAM_BUNDLE';

/** Names the folder of an embedded database that has had its first start; see `makeDataDir`. */
export const embeddedTemplate = 'TEST_EMBEDDED_TEMPLATE';

export function temporaryFolder(prefix: string): string {
  return mkdtempSync(join(tmpdir(), prefix));
}

/**
 * A port that is free now, below the ports that the kernel gives to connections (32768 and up). A connection of another test
 * could take one of these before the server of this test listens, or while that server restarts.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Polls until `ready` says so; throws when the server has ended or 60 s are over, and then stops it. */
export async function untilReady(ready: () => boolean | Promise<boolean>, server: Running): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await ready())) {
    const ended = server.ended() ?? (Date.now() > deadline ? 'not ready after 60 s' : undefined);
    if (ended !== undefined) {
      await server.stop();
      throw new Error(ended);
    }
    await delay(50);
  }
}

/** The process and the folder to remove when the owner of a server ends in any way. */
interface CleanUp {
  readonly signal: NodeJS.Signals;
  readonly folder: string;
}

/** Starts a server that outlives neither `stop()` nor this process. */
export function runServer(program: string, args: readonly string[], options: object, cleanUp: CleanUp): RunningServer {
  // A session of its own: Ctrl-C goes to the test runner, which then stops its servers in order.
  const child = spawn(program, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let ended: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      ended = `${program}: ${error.message}`;
      resolve();
    });
    child.once('exit', (code, signal) => {
      ended = `${program} ended with ${signal ?? code}:\n${output}`;
      resolve();
    });
  });
  const pid = child.pid ?? 0;
  const guard =
    pid > 0 ? watchOver(`try { process.kill(${pid}, '${cleanUp.signal}') } catch {}`, cleanUp.folder) : undefined;
  return {
    pid,
    ended: () => ended,
    printed: (text) => output.includes(text),
    output: () => output,
    async kill(signal) {
      child.kill(signal);
      await exited;
      await guard?.dismiss();
    },
    async stop() {
      if (ended === undefined) child.kill(cleanUp.signal);
      const inTime = await Promise.race([exited.then(() => true), delay(10_000, false, { ref: false })]);
      if (!inTime) {
        child.kill('SIGKILL');
        await exited;
      }
      await guard?.dismiss();
      rmSync(cleanUp.folder, { recursive: true, force: true });
    },
  };
}

/**
 * A process that waits for the end of this one, `kill -9` included, and then runs the script. Its standard input is a
 * pipe from here, which the kernel closes when this process ends.
 */
function watchOver(script: string, folder = ''): { dismiss(): Promise<void> } {
  const remove = `require('node:fs').rmSync(process.argv[1], { recursive: true, force: true, maxRetries: 20 })`;
  const whenAlone = `${script}; if (process.argv[1]) setTimeout(() => ${remove}, 2000)`;
  const guard: ChildProcess = spawn(
    process.execPath,
    ['-e', `process.stdin.resume().on('end', () => { ${whenAlone} })`, folder, guardMark],
    { detached: true, stdio: ['pipe', 'ignore', 'ignore'] },
  );
  const gone = new Promise<void>((resolve) => guard.once('exit', () => resolve()));
  guard.unref();
  return {
    async dismiss() {
      guard.ref();
      guard.kill('SIGKILL');
      await gone;
    },
  };
}

/** Undefined without a container engine that answers. The port is one of this machine's. */
export async function runContainer(
  args: readonly string[],
  port: number,
  because: (reason: string) => void,
): Promise<(Running & { readonly port: number }) | undefined> {
  let id: string;
  try {
    await run('docker', ['info'], { timeout: 10_000 });
    id = (await run('docker', ['run', '-d', '--rm', '-p', `127.0.0.1::${port}`, ...args])).trim();
  } catch (error) {
    because(`no container: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`);
    return undefined;
  }
  const guard = watchOver(`require('node:child_process').execFileSync('docker', ['rm', '-f', '${id}'])`);
  const published = await run('docker', ['port', id, String(port)]);
  return {
    port: Number(/:(\d+)/.exec(published)?.[1]),
    ended: () => undefined,
    async stop() {
      await run('docker', ['rm', '-f', id]);
      await guard.dismiss();
    },
  };
}
