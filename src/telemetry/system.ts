/**
 * Figures of the operating system about this process. Such reads open files, so they fail at the limit of open files; these
 * functions return a value nevertheless. No other file reads these figures (test/architecture).
 */
import { readFileSync } from 'node:fs';

/** Resident memory in bytes. If the system refuses the figure, the last figure is returned. */
export class ResidentMemory {
  readonly #rss: () => number;
  #last = 0;

  constructor(rss: () => number = () => process.memoryUsage.rss()) {
    this.#rss = rss;
  }

  read(): number {
    try {
      this.#last = this.#rss();
    } catch {
      // EMFILE: the figure comes from a file in /proc
    }
    return this.#last;
  }
}

/** Files and sockets that this process may have open; undefined: no limit, or unknown on this system. */
export function openFilesLimit(
  limits: () => string = () => readFileSync('/proc/self/limits', 'utf8'),
): number | undefined {
  let text: string;
  try {
    text = limits();
  } catch {
    return undefined;
  }
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** Files beside connections: the listener, logs, Postgres, Redis, files of the demo, and a reserve for short uses. */
const otherFiles = 100;

export interface ConnectionCap {
  readonly maxConnections: number;
  /** Undefined: the configured number fits. */
  readonly warning: string | undefined;
}

/** The configured number of connections, or fewer if the limit of open files is lower. */
export function capConnections(wanted: number, databaseConnections: number, limit = openFilesLimit()): ConnectionCap {
  if (limit === undefined) return { maxConnections: wanted, warning: undefined };
  const room = Math.max(1, Math.floor(limit * 0.95) - otherFiles - databaseConnections);
  if (wanted <= room) return { maxConnections: wanted, warning: undefined };
  const needed = Math.ceil((wanted + otherFiles + databaseConnections) / 0.95);
  return {
    maxConnections: room,
    warning:
      `The process may open ${limit} files, so it takes ${room} connections instead of ${wanted} ` +
      `(PARLEY_MAX_CONNECTIONS); raise the limit to ${needed} (ulimit -n, LimitNOFILE)`,
  };
}
