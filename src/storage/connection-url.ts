/** A connection string of Postgres in the forms that providers print, as options of the driver. */
import { StartupError } from '../startup-error.ts';
import { readConnectionSettings, type ConnectionSettings } from './connection-settings.ts';
import { readTls, type Tls } from './connection-tls.ts';
import { withPasswordEncoded } from './password-encoding.ts';

export interface ConnectionTarget extends ConnectionSettings {
  /** For the driver, without what it would send to the server as a parameter. */
  readonly url: string;
  readonly host: string | string[];
  readonly port: number | number[];
  readonly ssl: Tls;
}

/** @throws {StartupError} in one line, without the password. */
export function readConnectionUrl(given: string): ConnectionTarget {
  const text = withPasswordEncoded(given);
  const start = /^(postgres(?:ql)?:\/\/(?:[^@/]*@)?)([^@/?#]*)/.exec(text);
  const list = (start?.[2] ?? '').split(',');
  const url = parse(`${start?.[1] ?? ''}${list[0] ?? ''}${text.slice(start?.[0].length ?? 0)}`);
  const params = url.searchParams;
  const named = params.get('host');
  const names = named === null ? list.map(hostOf) : named.split(',');
  const ports = named === null ? list.map(portOf) : (params.get('port') ?? '5432').split(',').map(Number);
  const [first = ''] = names;
  const socket = decodeURIComponent(first);
  const isSocket = socket.startsWith('/');
  for (const name of ['host', 'port']) params.delete(name);
  const ssl = readTls(params, isSocket);
  const settings = readConnectionSettings(params);
  if (settings.channel_binding !== undefined && (ssl === false || ssl === 'prefer'))
    throw new StartupError('DATABASE_URL: channel_binding=require needs sslmode=require, verify-ca or verify-full');
  if (isSocket) return { url: url.href, host: socket, port: ports[0] ?? 5432, ssl: false, ...settings };
  return {
    url: url.href,
    host: names.map((name) => name || 'localhost'),
    port: names.map((_, i) => ports[i] ?? 5432),
    ssl,
    ...settings,
  };
}

function parse(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new StartupError(
    'DATABASE_URL is not a URL; expected postgres://user:password@host:5432/database, with reserved characters of the password percent-encoded',
  );
}

function hostOf(part: string): string {
  return /^\[(.+)\]/.exec(part)?.[1] ?? part.split(':')[0] ?? '';
}

function portOf(part: string): number {
  return Number(/:(\d+)$/.exec(part.replace(/^\[.+\]/, ''))?.[1] ?? 5432);
}
