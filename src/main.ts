#!/usr/bin/env node
/** The command line. Wires the parts and alone ends the process. */
import { inspect, parseArgs } from 'node:util';
import { startApp, type RunningApp } from './app.ts';
import { signToken } from './sessions/tokens.ts';
import { loadConfig, requireKeys, type Config } from './config/config.ts';
import { doctor } from './cli/doctor.ts';
import { readDemoSecret } from './sessions/demo-secret.ts';
import { userId, userName } from './protocol/model.ts';
import { restoredCommand, restoredHelp } from './cli/restored.ts';
import { sessionsCommand, sessionsHelp } from './cli/sessions.ts';
import { errorCode, StartupError } from './startup-error.ts';
import { exportCommand, importCommand, transferHelp } from './cli/transfer.ts';
import { usersCommand, usersHelp } from './cli/users.ts';
import { stopLimitMs, supervise, workerCount } from './cli/supervise.ts';
import { openDataFolder } from './storage/data-folder.ts';
import { openEmbedded, openServer } from './storage/database.ts';
import { migrate } from './storage/migrate.ts';
import { newId } from './transport/engineio/handshake.ts';
import { printable } from './telemetry/printable.ts';
import { version } from './version.ts';
import { joinParent, type ParentLink } from './processes/worker.ts';

const help = `parley ${version}: a self-hosted real-time messaging server

Usage: parley <command>

  serve                        start the server (the default)
        [--workers N|auto]     as N processes on one port, with a parent that restarts them
  migrate                      bring the database to this version, then end
  token --user U               print a token
        [--name N] [--ttl 1h] [--tier T] [--backend]
${sessionsHelp}
${transferHelp}
${usersHelp}
${restoredHelp}
  doctor                       print the configuration without secrets, and check each service
  --help, --version

It is configured by environment variables; doctor lists them all. Without DATABASE_URL it runs
as a demo with a database of its own in ./data (PARLEY_DATA_DIR).`;

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

function ttlSeconds(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * (units[match[2] || 's'] ?? 0);
  if (seconds <= 0) throw new StartupError(`--ttl ${text}: expected a time such as 90s, 15m, 12h or 30d.`);
  return seconds;
}

async function token(args: string[], config: Config): Promise<void> {
  const { values } = parse(args, {
    user: { type: 'string' },
    name: { type: 'string' },
    ttl: { type: 'string' },
    tier: { type: 'string' },
    backend: { type: 'boolean', default: false },
  });
  const user = userId.safeParse(values.user);
  if (!user.success)
    throw new StartupError(`token needs --user U: ${user.error.issues[0]?.message ?? 'expected a user id'}.`);
  const name = userName.optional().safeParse(values.name);
  if (!name.success) throw new StartupError('--name: expected 1 to 40 characters.');
  const secret = config.jwtSecret ?? (config.embedded ? await readDemoSecret(config.dataDir) : undefined);
  if (secret === undefined) {
    throw new StartupError(
      config.embedded
        ? `The demo's secret is made when it first starts; there is none in ${config.dataDir} yet.`
        : 'token signs with PARLEY_JWT_SECRET, which is not set; who holds the private key of PARLEY_JWT_PUBLIC_KEY signs tokens.',
    );
  }
  const ttl = ttlSeconds(values.ttl ?? '1h');
  const { tier, backend } = values;
  print(await signToken(secret, { user: user.data, name: name.data, tier, backend, ttlSeconds: ttl }));
}

async function migrateOnly(config: Config): Promise<void> {
  const folder = config.databaseUrl === undefined ? await openDataFolder(config.dataDir) : undefined;
  const database =
    folder === undefined
      ? await openServer({ url: config.databaseUrl ?? '', poolSize: 2 })
      : await openEmbedded({ dataDir: folder.path, onFatal: fatal });
  try {
    const applied = await database.explaining(() => database.migrating(migrate));
    print(applied.length === 0 ? 'The database is up to date.' : `Applied: ${applied.join(', ')}`);
  } finally {
    await database.close();
    await folder?.release();
  }
}

async function serve(args: string[], config: Config): Promise<void> {
  const { values } = parse(args, { workers: { type: 'string' }, worker: { type: 'string' } });
  if (values.worker !== undefined) return serveAsWorker(config, joinParent(values.worker));
  const workers = workerCount(values.workers, config);
  if (workers !== undefined) return serveByWorkers(config, workers);
  let stop: ((why: string) => boolean) | undefined = undefined;
  onStopSignals((signal) => {
    // the first process of a container has no default for signals, so also the start needs one
    if (stop === undefined) process.exit(signal === 'SIGTERM' ? 143 : 130);
    if (stop(signal)) return;
    console.error('second signal: ending at once');
    process.exit(1);
  });
  const app = await startApp(config, fatal);
  print(await banner(app, config));
  stop = stopper(app, stopLimitMs(config));
}

/** The parent: see processes/supervisor.ts. */
async function serveByWorkers(config: Config, workers: number): Promise<void> {
  const { supervisor, log } = await supervise(config, workers, import.meta.filename, newId().slice(0, 8));
  let stopping = false;
  onStopSignals((signal) => {
    if (stopping) {
      log.warn('second signal: ending all workers at once');
      supervisor.kill();
      process.exit(1);
    }
    stopping = true;
    log.info({ signal }, 'stopping: the workers finish what was accepted');
    supervisor.stop().then((well) => process.exit(well ? 0 : 1), fatal);
  });
  process.on('SIGHUP', () => void supervisor.roll().catch(fatal));
  const url = await supervisor.start();
  print(`Parley ${version} listens on ${url} with ${workers} workers`);
}

/**
 * Signals come to a worker from its parent, and besides from a terminal or a service manager that signals the whole
 * group: a second one must not force it, and those for the parent alone are not its concern.
 */
async function serveAsWorker(config: Config, parent: ParentLink): Promise<void> {
  process.on('SIGINT', () => {}).on('SIGHUP', () => {});
  let stop: ((why: string) => boolean) | undefined = undefined;
  void parent.orphaned.then(() => {
    if (stop === undefined) process.exit(1);
    stop('the parent is gone');
  });
  try {
    const app = await startApp(config, fatal, { workers: parent.workers, metrics: () => parent.metrics() });
    stop = stopper(app, stopLimitMs(config), async () => parent.farewell(await app.readings()));
    parent.answerWith(() => app.readings());
    process.on('SIGTERM', stop);
    parent.ready(app.url);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    // the parent tells it once, for all of them
    await parent.failed(error.message);
    process.exit(1);
  }
}

async function banner(app: RunningApp, config: Config): Promise<string> {
  const lines = [`Parley ${version} listens on ${app.url}`];
  if (app.demoSecret === undefined) return lines.join('\n');
  const sample = await signToken(app.demoSecret, { user: 'alice', name: 'Alice', ttlSeconds: units['d'] ?? 0 });
  lines.push(
    `  demo   ${app.url}/  (open it in two windows)`,
    `  data   ${config.dataDir}`,
    `  token  ${sample}`,
    `  try    npx wscat -c "${app.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"  then send  40{"token":"<the token>"}`,
  );
  return lines.join('\n');
}

/** A function that begins the stop, once; it returns whether this call was the first. The process ends with it. */
function stopper(app: RunningApp, limitMs: number, last?: () => Promise<void>): (why: string) => boolean {
  let stopping = false;
  return (why) => {
    if (stopping) return false;
    stopping = true;
    app.log.info({ why }, 'stopping: finishing what was accepted');
    setTimeout(() => {
      app.log.error({ limitMs }, 'not stopped in time: ending at once');
      process.exit(1);
    }, limitMs).unref();
    app
      .stop()
      .then(last)
      .then(() => process.exit(0), fatal);
    return true;
  };
}

/** One Ctrl-C under `npm run` arrives twice: from the terminal, and from npm, which passes it on. */
const sameSignalMs = 300;

function onStopSignals(stop: (signal: NodeJS.Signals) => void): void {
  let last = -Infinity;
  const once = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (now - last < sameSignalMs) return;
    last = now;
    stop(signal);
  };
  process.on('SIGTERM', once);
  process.on('SIGINT', once);
}

/** Whatever is printed may hold text of users. */
function print(text: string): void {
  console.log(printable(text));
}

function parse<T extends Record<string, { type: 'string' | 'boolean' }>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: false });
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}

/** What the operator can mend is told in its own words; anything else with its stack. */
function fatal(error: unknown): never {
  console.error(printable(error instanceof StartupError ? error.message : inspect(error)));
  process.exit(1);
}

async function main([command = 'serve', ...rest]: string[]): Promise<void> {
  switch (command) {
    case 'serve':
      return serve(rest, loadConfig());
    case 'migrate':
      parse(rest, {});
      return migrateOnly(loadConfig());
    case 'token':
      return token(rest, loadConfig());
    case 'sessions':
      return sessionsCommand(rest, loadConfig, print);
    case 'export':
      return exportCommand(rest, loadConfig);
    case 'import':
      return importCommand(rest, loadConfig);
    case 'users':
      return usersCommand(rest, loadConfig, print);
    case 'restored':
      parse(rest, {});
      return restoredCommand(loadConfig(), print);
    case 'doctor': {
      parse(rest, {});
      const config = loadConfig();
      process.exitCode = (await doctor(config, () => requireKeys(config), print)) ? 0 : 1;
      return;
    }
    case '--help':
    case '-h':
    case 'help':
      print(help);
      return;
    case '--version':
    case '-v':
      print(version);
      return;
    default:
      throw new StartupError(`There is no command ${command}.\n\n${help}`);
  }
}

// A rejection that nobody holds is a bug of ours, but no reason to cut tens of thousands of connections.
process.on('unhandledRejection', (error) => console.error(`unhandled rejection: ${printable(inspect(error))}`));

/** The machine gives no more files, memory or processes at the moment: the call that failed is lost, all else goes on. */
const exhausted = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);
process.on('uncaughtException', (error) => {
  if (exhausted.has(errorCode(error))) console.error(`a call of the system failed: ${printable(inspect(error))}`);
  else fatal(error);
});

main(process.argv.slice(2)).catch(fatal);
