/** Makes the parent of several workers: their number, their port and their names. */
import { availableParallelism } from 'node:os';
import { environmentWith, requireKeys, type Config } from '../config/config.ts';
import { configKeys } from '../config/keys/all.ts';
import { listenSlice, logSlice, stopSlice } from '../config/slices.ts';
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

/** A worker ends itself after the drain window and PARLEY_SHUTDOWN_MS; the parent kills a worker that cannot after this grace. */
const graceMs = 2000;

/** The number of workers, by the flag or else by PARLEY_WORKERS; undefined: this process serves alone. @throws {StartupError} */
export function workerCount(flag: string | undefined, config: Config): number | undefined {
  const parsed = flag === undefined ? undefined : configKeys.workers.parse(flag);
  if (parsed?.ok === false) throw new StartupError(`--workers ${flag}: expected ${parsed.expected}.`);
  const wanted = parsed?.value ?? config.workers;
  if (wanted === undefined) return undefined;
  const count = wanted === 'auto' ? availableParallelism() : wanted;
  if (config.redisUrl !== undefined) return count;
  if (count > 1)
    throw new StartupError(
      `${count} workers need DATABASE_URL and REDIS_URL; without these settings only one process can run.`,
    );
  // a replacement could not open the database while this process has it, so a parent has no use
  return undefined;
}

/** @param entry the program. @throws {StartupError} */
export async function supervise(config: Config, workers: number, entry: string, name: string): Promise<Supervised> {
  requireKeys(config);
  const node = config.nodeName ?? name;
  const longest = 64 - `-${workers}`.length;
  if (Buffer.byteLength(node) > longest)
    throw new StartupError(
      `PARLEY_NODE=${node}: expected at most ${longest} bytes, because each worker adds its number.`,
    );
  const { host, port: wanted, admin } = listenSlice(config);
  const port = await claimPort(host, wanted);
  const adminPort = admin === undefined ? undefined : String(await claimPort(admin.host, admin.port));
  const log = createLog({ ...logSlice(config, process.stdout.isTTY), node });
  const supervisor = new Supervisor({
    workers,
    fork: (place, scrape) =>
      new Child({
        entry,
        args: ['serve', '--worker', `${place}/${workers}`],
        env: environmentWith({
          PORT: String(port),
          PARLEY_ADMIN_PORT: adminPort,
          PARLEY_NODE: `${node}-${place}`,
          PARLEY_ROLES: config.roles.join(','),
        }),
        scrape,
      }),
    stopMs: stopLimitMs(config) + graceMs,
    metrics: new GroupMetrics(),
    log,
  });
  return { supervisor, log };
}

/** Longest time of a stop: the drain window, and then the rest of the work. */
export function stopLimitMs(config: Config): number {
  return stopSlice(config).limitMs;
}
