import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const secret = 'a-secret-of-the-load-tests-at-least-32-bytes-long';
const main = join(import.meta.dirname, '../dist/main.js');

export interface Parley {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts the built server on a free port, without the limits of one address, because all users have one address here. The
 * limits of the server and of one connection stay.
 * @param databaseUrl undefined: embedded, in a folder that `stop` removes
 * @param given settings (PARLEY_…); other variables are ignored
 */
export async function startParley(
  databaseUrl: string | undefined,
  given: Readonly<Record<string, string>>,
): Promise<Parley> {
  if (!existsSync(main)) throw new Error('dist/main.js is missing: run `npm run build` first.');
  const folder = mkdtempSync(join(tmpdir(), 'parley-k6-'));
  const keys = Object.entries(given).filter(([key]) => key.startsWith('PARLEY_') && !/_(URL|SECRET)$/.test(key));
  const child = spawn(process.execPath, [main, 'serve'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    // a separate process group: Ctrl-C reaches k6 first, which still needs the server
    detached: true,
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'production',
      PORT: '0',
      PARLEY_HOST: '127.0.0.1',
      PARLEY_JWT_SECRET: secret,
      PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '1000000',
      PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '100000',
      PARLEY_COMMANDS_PER_SECOND_PER_ADDRESS: '100000',
      PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS: '16g',
      PARLEY_GUESTS_PER_MINUTE: '1000000',
      PARLEY_LOG_LEVEL: 'warn',
      PARLEY_LOG_PRETTY: 'false',
      PARLEY_DRAIN_MS: '0',
      ...(databaseUrl === undefined ? { PARLEY_DATA_DIR: join(folder, 'data') } : { DATABASE_URL: databaseUrl }),
      ...Object.fromEntries(keys),
    },
  });
  let output = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-20_000)));
  }
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      ended = true;
      resolve();
    });
    child.once('close', () => {
      ended = true;
      resolve();
    });
  });
  const killed = (): void => void (ended || child.kill('SIGKILL'));
  process.once('exit', killed);
  const parley = {
    url: '',
    async stop(): Promise<void> {
      const early = ended;
      child.kill('SIGTERM');
      if (!(await Promise.race([exited.then(() => true), delay(15_000, false, { ref: false })]))) child.kill('SIGKILL');
      await exited;
      process.off('exit', killed);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      if (early && parley.url !== '') console.error(`Parley had ended during the run:\n${output}`);
    },
  };
  for (const until = Date.now() + 60_000; Date.now() < until && !ended; await delay(50)) {
    const url = /listens on (http:\/\/\S+)/.exec(output)?.[1];
    if (url === undefined) continue;
    parley.url = url.replace('localhost', '127.0.0.1');
    return parley;
  }
  await parley.stop();
  throw new Error(`Parley did not start:\n${output}`);
}
