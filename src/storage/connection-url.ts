/** A connection string of Postgres in the forms that providers print, as options of the driver. */
import { readFileSync } from 'node:fs';
import { errorCode, StartupError } from '../startup-error.ts';

export interface ConnectionTarget {
  /** For the driver, without what it would send to the server as a parameter. */
  readonly url: string;
  readonly host: string | string[];
  readonly port: number | number[];
  readonly ssl: false | 'prefer' | { rejectUnauthorized: boolean; [option: string]: unknown };
}

/** Settings of libpq that the driver has no use for; a server would refuse them as unknown parameters. */
const unused =
  'channel_binding keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout gssencmode sslsni sslcompression sslcert sslkey sslcrl'.split(
    ' ',
  );
const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

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
  const ssl = tlsOf(params, names[0] ?? '');
  for (const name of [...unused, 'host', 'port', 'sslmode', 'sslrootcert']) params.delete(name);
  const [first = ''] = names;
  const socket = decodeURIComponent(first);
  if (socket.startsWith('/')) return { url: url.href, host: socket, port: ports[0] ?? 5432, ssl: false };
  return {
    url: url.href,
    host: names.map((name) => name || 'localhost'),
    port: names.map((_, i) => ports[i] ?? 5432),
    ssl,
  };
}

function parse(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new StartupError(
    'DATABASE_URL is not a URL; expected postgres://user:password@host:5432/database, with reserved characters of the password percent-encoded',
  );
}

const hostForm = String.raw`(?:\[[^\]@]*\]|[^:@/?#,[\]]*)(?::\d*)?`;
const hosts = `${hostForm}(?:,${hostForm})*(?:[/?#]|$)`;
const encodedForm = new RegExp(String.raw`^(postgres(?:ql)?:\/\/[^:@/?#]*:)([^:@/?#]*)(@${hosts}.*)$`, 's');
const withoutPassword = new RegExp(String.raw`^postgres(?:ql)?:\/\/(?:[^:@/?#]*@)?${hosts}`);
const reservedForm = /^(postgres(?:ql)?:\/\/[^:@/?#]*:)(.*)(@[^@]*)$/s;

/** A password may hold characters that a URL reserves; what is percent-encoded already stays. */
function withPasswordEncoded(text: string): string {
  const found = encodedForm.exec(text) ?? (withoutPassword.test(text) ? null : reservedForm.exec(text));
  if (found === null) return text;
  const [, before = '', password = '', after = ''] = found;
  return `${before}${password.replaceAll(/%(?![\da-f]{2})|[^%\w.~!*'()-]/giu, (part) => encodeURIComponent(part))}${after}`;
}

function hostOf(part: string): string {
  return /^\[(.+)\]/.exec(part)?.[1] ?? part.split(':')[0] ?? '';
}

function portOf(part: string): number {
  return Number(/:(\d+)$/.exec(part.replace(/^\[.+\]/, ''))?.[1] ?? 5432);
}

/** As libpq: `require` encrypts and checks nothing, unless there is a root certificate. */
function tlsOf(params: URLSearchParams, host: string): ConnectionTarget['ssl'] {
  const root = params.get('sslrootcert');
  const asked = params.get('sslmode') ?? params.get('ssl') ?? (root === null ? 'disable' : 'verify-full');
  const mode = asked === 'true' ? 'require' : asked === 'false' ? 'disable' : asked;
  if (!modes.includes(mode))
    throw new StartupError(`DATABASE_URL: sslmode=${mode}: expected one of ${modes.join(', ')}`);
  params.delete('ssl');
  if (mode === 'disable') return false;
  if (mode === 'prefer' || mode === 'allow') return 'prefer';
  const ca = root === null || root === 'system' ? {} : { ca: certificate(root) };
  const checked = mode.startsWith('verify-') || (mode === 'require' && root !== null);
  const nameIsChecked = mode === 'verify-full' || root === 'system';
  return {
    rejectUnauthorized: checked,
    ...ca,
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...(nameIsChecked ? {} : { checkServerIdentity: () => undefined }),
  };
}

function certificate(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartupError(`DATABASE_URL: sslrootcert=${path} cannot be read: ${errorCode(error)}`);
  }
}
