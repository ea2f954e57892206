/** Logs, and how a node stops. */
import { flag, number, oneOf } from '../values.ts';
import { key, optional } from './key.ts';

export const operationKeys = {
  logLevel: key(
    'PARLEY_LOG_LEVEL',
    'Level of logs: `fatal`, `error`, `warn`, `info`, `debug` or `silent`.',
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'silent'),
    'info',
  ),
  logPretty: optional('PARLEY_LOG_PRETTY', 'Readable logs instead of JSON. Default: on in a terminal.', flag()),
  drainMs: optional(
    'PARLEY_DRAIN_MS',
    'Drain window: the time over which a stopping node closes its connections. Default: 20000, in the embedded demo 0.',
    number(0, 3_600_000),
  ),
  shutdownMs: key(
    'PARLEY_SHUTDOWN_MS',
    'Longest time of a stop after the drain window. After that time the process ends at once.',
    number(100, 600_000),
    '10000',
  ),
} as const;
