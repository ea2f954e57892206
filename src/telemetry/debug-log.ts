import type { Log } from './log.ts';

/**
 * The log, if its level shows debug lines. A part calls this once, in its constructor, and writes
 * `debug?.debug({ … }, text)`: nothing is made while the level is off. The level is fixed for the life of a process.
 */
export function debugLog(log: Log): Log | undefined {
  return log.isLevelEnabled('debug') ? log : undefined;
}
