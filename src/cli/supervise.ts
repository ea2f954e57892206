/** Wires the parent of several workers: how many, on which port, under which names. */
import { availableParallelism } from 'node:os';
import { hostOf } from '../http/listen.ts';
import { configKeys, environmentWith, requireKeys, type Config } from '../config/config.ts';
import { StartupError } from '../startup-error.ts';
import { GroupMetrics } from '../telemetry/group-metrics.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { Child } from '../processes/child.ts';
import { claimPort } from '../http/port.ts';
import { Supervisor } from '../processes/supervisor.ts';

export interface Supervised {
  readonly supervisor: Supervisor;
  readonly log: Log;
}

/** Beyond the drain window and PARLEY_SHUTDOWN_MS a worker ends itself; this is for one that cannot. */
const graceMs = 2000;

/** How many, by the flag or else by PARLEY_WORKERS; undefined: this process serves by itself. @throws {StartupError} */
export function workerCount(flag: string | undefined, config: Config): number | undefined {
  const parsed = flag === undefined ? undefined : configKeys.workers.parse(flag);
  if (parsed?.ok === false) throw new StartupError(`--workers ${flag}: expected ${parsed.expected}.`);
  const wanted = parsed?.value ?? config.workers;
  if (wanted === undefined) return undefined;
  const count = wanted === 'auto' ? availableParallelism() : wanted;
  if (config.redisUrl !== undefined) return count;
  if (count > 1)
    throw new StartupError(`${count} workers need DATABASE_URL and REDIS_URL; without them only one can run.`);
  // a replacement could not have the database while this one has it, so there is nothing for a parent to do
  return undefined;
}

/** @param entry the program. @throws {StartupError} */
export async function supervise(config: Config, workers: number, entry: string, name: string): Promise<Supervised> {
  requireKeys(config);
  const node = config.nodeName ?? name;
  const longest = 64 - `-${workers}`.length;
  if (Buffer.byteLength(node) > longest)
    throw new StartupError(`PARLEY_NODE=${node}: expected at most ${longest} bytes, for workers add their number.`);
  const port = await claimPort(hostOf(config), config.port);
  const { adminPort, adminHost } = config;
  const admin = adminPort === undefined ? undefined : String(await claimPort(adminHost, adminPort));
  const log = createLog({ level: config.logLevel, pretty: config.logPretty ?? process.stdout.isTTY, node });
  const supervisor = new Supervisor({
    workers,
    fork: (place, scrape) =>
      new Child({
        entry,
        args: ['serve', '--worker', `${place}/${workers}`],
        env: environmentWith({ PORT: String(port), PARLEY_ADMIN_PORT: admin, PARLEY_NODE: `${node}-${place}` }),
        scrape,
      }),
    stopMs: stopLimitMs(config) + graceMs,
    metrics: new GroupMetrics(),
    log,
  });
  return { supervisor, log };
}

/** What a stop may take: the drain window, and then what is left to finish. */
export function stopLimitMs(config: Config): number {
  return config.shutdownMs + (config.drainMs ?? (config.embedded ? 0 : 20_000));
}
