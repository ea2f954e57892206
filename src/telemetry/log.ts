import { pino, type Logger } from 'pino';
import { PinoPretty } from 'pino-pretty';

export type Log = Logger;

/** JSON lines on standard output for machines, or a readable form for a terminal. */
export function createLog(options: { level: string; pretty: boolean; node: string }): Log {
  const settings = { level: options.level, base: { node: options.node } };
  if (!options.pretty) return pino(settings);
  return pino(settings, PinoPretty({ ignore: 'pid,hostname,node', translateTime: 'HH:MM:ss', singleLine: true }));
}
