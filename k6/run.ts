/**
 * npm run k6 -- SCRIPT … [--short] [--postgres] [--help] [NAME=value …] [k6 options …]
 * Runs scripts of this folder with k6, one after the other. Starts a Parley for them unless PARLEY_URL names one, and stops
 * it afterwards.
 *
 *   --short       the form of half a minute (SHORT=1)
 *   --postgres    a real Postgres of this machine instead of the embedded one; DATABASE_URL names one instead
 *   NAME=value    an option of the script, or a setting of the server if it begins with PARLEY_
 *   --list        the scripts
 *
 * Other arguments go to k6. The exit code is that of k6: 0 passed, 99 a threshold failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { openServer } from '../src/storage/database.ts';
import { startPostgres } from '../test/support/services.ts';
import { findK6 } from './find-k6.ts';
import { startSlowLink, type SlowLink } from './slow-link.ts';
import { startParley, secret } from './server.ts';

const here = import.meta.dirname;
const root = dirname(here);
const scripts = readdirSync(here)
  .filter((file) => file.endsWith('.js'))
  .map((file) => file.replace('.js', ''));

/** The comment at the beginning of a file. */
function head(file: string): string {
  const text = /\/\*\*\n([\s\S]*?)\*\//.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  return text.replaceAll(/^ \* ?/gm, '').trim();
}

const args = process.argv.slice(2);
const names = args.filter((arg) => scripts.includes(arg));
const [name] = names;
const help = args.some((arg) => arg === '--help' || arg === '-h');
if (name === undefined || args.includes('--list')) {
  const list = scripts.map((script) => head(join(here, `${script}.js`)).split('\n')[0]);
  console.log(
    `${head(import.meta.filename)}\n\nScripts (npm run k6 -- SCRIPT --help shows one):\n  ${list.join('\n  ')}`,
  );
  process.exit(help || args.includes('--list') ? 0 : 2);
}
if (help) {
  console.log(head(join(here, `${name}.js`)));
  process.exit(0);
}

const own = new Set([...names, '--short', '--postgres']);
const given = Object.fromEntries(
  args.flatMap((arg) => {
    const [, key, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(arg) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value]];
  }),
);
const forK6 = args.filter((arg) => !own.has(arg) && !/^[A-Z][A-Z0-9_]*=/.test(arg));
const env: Record<string, string | undefined> = { ...process.env, ...given };
if (args.includes('--short')) env['SHORT'] = '1';

const k6 = findK6();
if (k6 === undefined) {
  console.error('Could not find k6. k6/README.md says how to install it. K6=/path/to/k6 names it.');
  process.exit(2);
}

const releases: (() => Promise<void>)[] = [];
let stopping: Promise<void> | undefined;
function stop(): Promise<void> {
  stopping ??= (async () => {
    for (const release of releases.splice(0).toReversed()) await release();
  })();
  return stopping;
}

/**
 * Settings of Go's garbage collector. By default k6 spends a third of its time on the heaps of its virtual users, and the
 * script is late meanwhile. These settings let garbage grow up to half of the machine's memory.
 */
const collector = { GOGC: '400', GOMEMLIMIT: `${Math.floor(totalmem() / 2 / 2 ** 20)}MiB` };

/** The settings of a server that is started for a script. */
const serverOf: Readonly<Record<string, Record<string, string>>> = {
  // the kernel's buffers take megabytes before the server's own begin to fill
  slow: { PARLEY_SOFT_BUFFERED_BYTES: '64k', PARLEY_BEHIND_BUFFERED_BYTES: '256k' },
};

let running: ReturnType<typeof spawn> | undefined;
let interrupts = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupts += 1;
    // at the first signal k6 ends in order and reports; a second signal kills k6
    if (running?.exitCode === null) running.kill(interrupts === 1 ? 'SIGINT' : 'SIGKILL');
    else void stop().finally(() => process.exit(130));
  });
}

try {
  process.exitCode = await main(k6);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await stop();
}

async function main(program: string): Promise<number> {
  let storage = 'a running server';
  if ((env['PARLEY_URL'] ?? '') === '') {
    const databaseUrl = await database();
    const parley = await startParley(databaseUrl, {
      ...(names.length === 1 ? serverOf[names[0] ?? ''] : {}),
      ...given,
    });
    releases.push(() => parley.stop());
    env['PARLEY_URL'] = parley.url;
    env['PARLEY_SECRET'] = secret;
    storage = databaseUrl === undefined ? 'embedded Postgres' : 'Postgres';
    console.log(`Parley runs at ${parley.url}, its storage: ${storage}.`);
  }
  const results = resolve(root, env['RESULTS'] ?? join(here, 'results'));
  mkdirSync(results, { recursive: true });
  env['RESULTS'] = results;
  let worst = 0;
  for (const script of names) {
    if (interrupts > 0) break;
    worst = Math.max(worst, await runScript(program, script, results, storage));
  }
  return worst;
}

async function runScript(program: string, script: string, results: string, storage: string): Promise<number> {
  const short = env['SHORT'] === '1';
  const more: Record<string, string> = {};
  let link: SlowLink | undefined;
  if (script === 'slow' && (env['SLOW_URL'] ?? '') === '') {
    link = await startSlowLink(env['PARLEY_URL'] ?? '', {
      stallMs: Number(env['STALL_MS'] ?? (short ? 12_000 : 25_000)),
      cycleMs: Number(env['CYCLE_MS'] ?? (short ? 15_000 : 40_000)),
    });
    more['SLOW_URL'] = link.url;
  }
  const name_ = `${script}${short ? '-short' : ''}-${new Date().toISOString().replaceAll(/[:.]/g, '').slice(0, 17)}`;
  more['RESULT_NAME'] = env['RESULT_NAME'] ?? name_;
  more['NOTE'] =
    env['NOTE'] ?? `${storage}, ${cpus().length} cores, load before the run ${(loadavg()[0] ?? 0).toFixed(1)}`;
  console.log(`${basename(program)} runs k6/${script}.js${short ? ' (short)' : ''} against ${env['PARLEY_URL']}.`);
  try {
    const code = await run(program, ['run', '--no-usage-report', ...forK6, join(here, `${script}.js`)], more);
    const page = join(results, `${more['RESULT_NAME']}.html`);
    console.log(existsSync(page) ? `Result: ${page}` : 'k6 wrote no result.');
    return code;
  } finally {
    await link?.close();
  }
}

async function database(): Promise<string | undefined> {
  if ((env['DATABASE_URL'] ?? '') !== '') return env['DATABASE_URL'];
  if (!args.includes('--postgres')) return undefined;
  const postgres = await startPostgres();
  releases.push(() => postgres.stop());
  if (postgres.origin !== 'TEST_DATABASE_URL') return postgres.url;
  // the server may have other users, so the run gets a separate database
  const admin = await openServer({ url: postgres.url, poolSize: 1 });
  const own_ = `parley_k6_${process.pid}`;
  await admin.sql`create database ${admin.sql(own_)}`;
  releases.push(async () => {
    await admin.sql`drop database ${admin.sql(own_)} with (force)`;
    await admin.close();
  });
  const url = new URL(postgres.url);
  url.pathname = `/${own_}`;
  return url.href;
}

function run(program: string, argv: readonly string[], more: Record<string, string>): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(program, argv, {
      cwd: root,
      env: { ...collector, ...env, ...more },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    running = child;
    // maxDuration of the scenarios ends a run; this limit ends a k6 that hangs
    const longestMs = (Number(env['LONGEST_HOURS'] ?? 26) || 26) * 3_600_000;
    const alarm = setTimeout(() => child.kill('SIGKILL'), longestMs);
    child.once('error', fail);
    child.once('exit', (code) => {
      clearTimeout(alarm);
      done(code ?? 1);
    });
  });
}
