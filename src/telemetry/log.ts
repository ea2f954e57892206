import { pino, type Logger, type LoggerOptions } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { printable } from './printable.ts';
import { hidden, secretFields, withoutKeySecrets } from './redaction.ts';

export type Log = Logger;

/**
 * JSON lines on standard output for machines, or a readable form for a terminal. No line shows the secret of an API key.
 * @param write receives the JSON lines instead
 */
export function createLog(
  options: { level: string; pretty: boolean; node: string },
  write?: (line: string) => void,
): Log {
  const settings: LoggerOptions = {
    level: options.level,
    base: { node: options.node },
    redact: { paths: secretFields, censor: hidden },
    hooks: { streamWrite: withoutKeySecrets },
  };
  if (write !== undefined) return pino(settings, { write });
  if (!options.pretty) return pino(settings);
  const pretty = PinoPretty({ ignore: 'pid,hostname,node', translateTime: 'HH:MM:ss', singleLine: true });
  return pino(settings, { write: (line: string) => void pretty.write(harmless(line)) });
}

/** A line of JSON whose texts show no control characters when they are printed. */
function harmless(line: string): string {
  return `${JSON.stringify(JSON.parse(line), show)}\n`;
}

function show(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? printable(value) : value;
}
