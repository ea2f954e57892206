#!/usr/bin/env node
/** The command line. No other file ends the process. */
import { inspect } from 'node:util';
import { startApp, type RunningApp } from './app.ts';
import { signToken } from './sessions/tokens.ts';
import { withRoles, loadConfig, type Config } from './config/config.ts';
import { readDemoSecret } from './sessions/demo-secret.ts';
import { userId, userName } from './protocol/model.ts';
import { cliCommands } from './cli/commands.ts';
import { help } from './cli/help.ts';
import { parseOptions } from './cli/arguments.ts';
import { runCommand } from './cli/run.ts';
import { errorCode, StartupError } from './startup-error.ts';
import { stopLimitMs, supervise, workerCount } from './cli/supervise.ts';
import { newId } from './transport/engineio/handshake.ts';
import { printable } from './telemetry/printable.ts';
import { startWorkerProcess } from './worker-process.ts';
import { version } from './version.ts';
import { joinParent, type ParentLink } from './processes/worker.ts';

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

function ttlSeconds(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * (units[match[2] || 's'] ?? 0);
  if (seconds <= 0) throw new StartupError(`--ttl ${text}: expected a time such as 90s, 15m, 12h or 30d.`);
  return seconds;
}

async function token(args: string[], config: Config): Promise<void> {
  const values = parseOptions(args, {
    user: { type: 'string' },
    name: { type: 'string' },
    ttl: { type: 'string' },
    tier: { type: 'string' },
    backend: { type: 'boolean' },
  });
  const user = userId.safeParse(values.user);
  if (!user.success)
    throw new StartupError(
      `The command token needs --user U: ${user.error.issues[0]?.message ?? 'expected a user id'}.`,
    );
  const name = userName.optional().safeParse(values.name);
  if (!name.success) throw new StartupError('--name: expected 1 to 40 characters.');
  const secret = config.jwtSecret ?? (config.embedded ? await readDemoSecret(config.dataDir) : undefined);
  if (secret === undefined) {
    throw new StartupError(
      config.embedded
        ? `The demo makes its secret at its first start; ${config.dataDir} has no secret yet. Start the demo with parley serve.`
        : 'The command token signs with PARLEY_JWT_SECRET, which is not set. With PARLEY_JWT_PUBLIC_KEY or PARLEY_JWKS_URL, your identity provider signs the tokens.',
    );
  }
  const ttl = ttlSeconds(values.ttl ?? '1h');
  const { tier, backend = false } = values;
  const signing = { secret, issuer: config.jwtIssuer, audience: config.jwtAudience };
  print(await signToken(signing, { user: user.data, name: name.data, tier, backend, ttlSeconds: ttl }));
}

async function serve(args: string[], given: Config): Promise<void> {
  const values = parseOptions(args, {
    workers: { type: 'string' },
    worker: { type: 'string' },
    roles: { type: 'string' },
  });
  const config = values.roles === undefined ? given : withRoles(given, values.roles);
  if (!config.roles.includes('gateway')) return work([], config);
  if (values.worker !== undefined) return serveAsWorker(config, joinParent(values.worker));
  const workers = workerCount(values.workers, config);
  if (workers !== undefined) return serveByWorkers(config, workers);
  await untilStopped(async () => {
    const app = await startApp(config, fatal);
    print(await banner(app, config));
    return stopper(app, stopLimitMs(config));
  });
}

/** Only the role `worker`. */
async function work(args: string[], config: Config): Promise<void> {
  parseOptions(args, {});
  await untilStopped(async () => {
    const app = await startWorkerProcess(config, fatal);
    const health = app.adminUrl === undefined ? '' : `, with its health on ${app.adminUrl}`;
    print(`Parley ${version} runs the jobs of notifications${health}`);
    return stopper(app, stopLimitMs(config));
  });
}

/** @param start resolves to the function that begins the stop */
async function untilStopped(start: () => Promise<(why: string) => boolean>): Promise<void> {
  let stop: ((why: string) => boolean) | undefined = undefined;
  onStopSignals((signal) => {
    // the first process of a container has no default for signals, so the start needs a handler too
    if (stop === undefined) process.exit(signal === 'SIGTERM' ? 143 : 130);
    if (stop(signal)) return;
    console.error('Second signal: the process ends at once. Commands without an acknowledgement may be lost.');
    process.exit(1);
  });
  stop = await start();
}

/** The parent: see processes/supervisor.ts. */
async function serveByWorkers(config: Config, workers: number): Promise<void> {
  const { supervisor, log } = await supervise(config, workers, import.meta.filename, newId().slice(0, 8));
  let stopping = false;
  onStopSignals((signal) => {
    if (stopping) {
      log.warn('Second signal: all workers end at once. Commands without an acknowledgement may be lost.');
      supervisor.kill();
      process.exit(1);
    }
    stopping = true;
    log.info({ signal }, 'Stopping: the workers drain their connections and finish accepted commands.');
    supervisor.stop().then((well) => process.exit(well ? 0 : 1), fatal);
  });
  process.on('SIGHUP', () => void supervisor.roll().catch(fatal));
  const url = await supervisor.start();
  print(`Parley ${version} listens on ${url} with ${workers} workers`);
}

/**
 * A worker gets signals from its parent, and again from a terminal or a service manager that signals the whole group. So a
 * second signal does not force its end, and the worker ignores signals for the parent alone.
 */
async function serveAsWorker(config: Config, parent: ParentLink): Promise<void> {
  process.on('SIGINT', () => {}).on('SIGHUP', () => {});
  let stop: ((why: string) => boolean) | undefined = undefined;
  void parent.orphaned.then(() => {
    if (stop === undefined) process.exit(1);
    stop('the parent process has ended');
  });
  try {
    const app = await startApp(config, fatal, { workers: parent.workers, metrics: () => parent.metrics() });
    stop = stopper(app, stopLimitMs(config), async () => parent.farewell(await app.readings()));
    parent.answerWith(() => app.readings());
    process.on('SIGTERM', stop);
    parent.ready(app.url);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    // the parent prints the reason once, for all workers
    await parent.failed(error.message);
    process.exit(1);
  }
}

async function banner(app: RunningApp, config: Config): Promise<string> {
  const lines = [`Parley ${version} listens on ${app.url}`];
  if (app.demoSecret === undefined) return lines.join('\n');
  const signing = { secret: app.demoSecret, issuer: config.jwtIssuer, audience: config.jwtAudience };
  const sample = await signToken(signing, { user: 'alice', name: 'Alice', ttlSeconds: units['d'] ?? 0 });
  lines.push(
    `  demo   ${app.url}/  (open it in two windows)`,
    `  data   ${config.dataDir}`,
    `  token  ${sample}`,
    `  try    npx wscat -c "${app.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"  then send  40{"token":"<the token>"}`,
    `  key    npm run parley -- keys create --name shop --scopes rooms,publish,messages:read  (for back ends: ${app.url}/api/v1/docs)`,
  );
  return lines.join('\n');
}

/** @returns a function that begins the stop, once. That function returns whether its call was the first. The process ends after the stop. */
function stopper(
  app: Pick<RunningApp, 'log' | 'stop'>,
  limitMs: number,
  last?: () => Promise<void>,
): (why: string) => boolean {
  let stopping = false;
  return (why) => {
    if (stopping) return false;
    stopping = true;
    app.log.info({ why }, 'Stopping: the node drains its connections and finishes accepted commands.');
    // a bare timer: it ends the process, and nothing stops it
    setTimeout(() => {
      app.log.error(
        { limitMs },
        'The stop took too long; the process ends at once. Commands without an acknowledgement may be lost.',
      );
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

/** Every printed text may hold text of users. */
function print(text: string): void {
  console.log(printable(text));
}

/** Prints a fault that the operator can fix as its sentence, and any other error with its stack. */
function fatal(error: unknown): never {
  console.error(printable(error instanceof StartupError ? error.message : inspect(error)));
  process.exit(1);
}

async function main([command = 'serve', ...rest]: string[]): Promise<void> {
  switch (command) {
    case 'serve':
      return serve(rest, loadConfig());
    case 'worker':
      return work(rest, loadConfig());
    case 'token':
      return token(rest, loadConfig());
    case '--help':
    case '-h':
    case 'help':
      print(help);
      return;
    case '--version':
    case '-v':
      print(version);
      return;
    default: {
      const found = cliCommands.get(command);
      if (found === undefined) throw new StartupError(`There is no command ${command}.\n\n${help}`);
      process.exitCode = await runCommand(command, found, rest, loadConfig());
    }
  }
}

// An unhandled rejection is a fault of Parley, but no reason to close tens of thousands of connections.
process.on('unhandledRejection', (error) =>
  console.error(`Unhandled rejection, a fault of Parley; the process goes on: ${printable(inspect(error))}`),
);

/** The machine has no more files, memory or processes at the moment: the failed call is lost, and the process goes on. */
const exhausted = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);
process.on('uncaughtException', (error) => {
  if (exhausted.has(errorCode(error)))
    console.error(`A system call failed for lack of resources; the process goes on: ${printable(inspect(error))}`);
  else fatal(error);
});

main(process.argv.slice(2)).catch(fatal);
