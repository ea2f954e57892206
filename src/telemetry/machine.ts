import { totalmem } from 'node:os';
import { capConnections } from './system.ts';
import type { Log } from './log.ts';

/** The machine of a node, as far as limits depend on it. */
export interface Machine {
  /** Connections that the limit of open files leaves. */
  readonly maxConnections: number;
  /** Memory that the process may use. */
  readonly memoryBytes: number;
  /** Workers that share the machine and the port. */
  readonly workers: number;
}

/** @param wanted connections of clients @param ofDatabase connections of the pools, which need open files too */
export function readMachine(wanted: number, ofDatabase: number, workers: number, log: Log): Machine {
  const { maxConnections, warning } = capConnections(wanted, ofDatabase);
  if (warning !== undefined) log.warn(`${warning}.`);
  const { constrained, total } = { constrained: process.constrainedMemory(), total: totalmem() };
  // a process without a limit reports 0, or a number over all memory
  return { maxConnections, memoryBytes: constrained > 0 && constrained < total ? constrained : total, workers };
}
