/** The TLS settings of a connection string, which are those of libpq, as options of the driver. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type ConnectionOptions } from 'node:tls';
import { errorCode, StartupError } from '../startup-error.ts';

/** False: in plain text. `prefer`: encrypted where the server can. */
export type Tls = false | 'prefer' | ConnectionOptions;

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];
const weak = ['disable', 'allow', 'prefer'];
/** Settings that do something only where the connection is encrypted for certain. */
const files = ['sslcert', 'sslkey', 'sslpassword', 'sslrootcert', 'sslcrl'];
const others = ['sslsni', 'ssl_min_protocol_version', 'ssl_max_protocol_version'];
const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

/**
 * As libpq: `require` encrypts and checks nothing, unless there is a root certificate. The function removes the parameters
 * that it reads.
 * @throws {StartupError} in one line that names the setting
 */
export function readTls(params: URLSearchParams, socket: boolean): Tls {
  const mode = modeOf(params);
  const set = [...files, ...others, 'sslnegotiation'].filter((name) => params.has(name));
  if (weak.includes(mode)) {
    const [useless] = set;
    if (useless !== undefined)
      throw new StartupError(`DATABASE_URL: ${useless} needs sslmode=require, verify-ca or verify-full, not ${mode}`);
    return mode === 'disable' || socket ? false : 'prefer';
  }
  if (socket) throw new StartupError(`DATABASE_URL: sslmode=${mode}: a Unix socket has no TLS; leave sslmode out`);
  const negotiation = params.get('sslnegotiation');
  if (negotiation !== null && negotiation !== 'postgres' && negotiation !== 'direct')
    throw new StartupError(`DATABASE_URL: sslnegotiation=${negotiation}: expected postgres or direct`);
  const options = optionsOf(params, mode);
  try {
    createSecureContext(options);
  } catch (error) {
    const names = files.filter((name) => params.has(name)).join(', ');
    throw new StartupError(`DATABASE_URL: ${names} cannot be used: ${(error as Error).message}`, { cause: error });
  }
  for (const name of [...files, ...others]) params.delete(name);
  return options;
}

function modeOf(params: URLSearchParams): string {
  const root = params.get('sslrootcert');
  const given = params.get('sslmode') ?? params.get('ssl') ?? (root === null ? 'disable' : 'verify-full');
  params.delete('sslmode');
  params.delete('ssl');
  const mode = given === 'true' ? 'require' : given === 'false' ? 'disable' : given;
  if (!modes.includes(mode))
    throw new StartupError(`DATABASE_URL: sslmode=${mode}: expected one of ${modes.join(', ')}`);
  if (root === 'system' && mode !== 'verify-full')
    throw new StartupError(`DATABASE_URL: sslrootcert=system needs sslmode=verify-full, not ${mode}`);
  return mode;
}

function optionsOf(params: URLSearchParams, mode: string): ConnectionOptions {
  const root = params.get('sslrootcert');
  const [cert, key] = [params.get('sslcert'), params.get('sslkey')];
  if ((cert === null) !== (key === null))
    throw new StartupError(`DATABASE_URL: ${cert === null ? 'sslkey needs sslcert' : 'sslcert needs sslkey'}`);
  const crl = params.get('sslcrl');
  const password = params.get('sslpassword');
  if (mode === 'no-verify' && (root ?? crl) !== null)
    throw new StartupError(`DATABASE_URL: ${root === null ? 'sslcrl' : 'sslrootcert'} needs sslmode=verify-full`);
  const checked = mode.startsWith('verify-') || (mode === 'require' && root !== null);
  if (crl !== null && !checked) throw new StartupError('DATABASE_URL: sslcrl needs sslmode=verify-ca or verify-full');
  return {
    rejectUnauthorized: checked,
    ...(root === null || root === 'system' ? {} : { ca: contents('sslrootcert', root) }),
    ...(cert === null || key === null ? {} : { cert: contents('sslcert', cert), key: contents('sslkey', key) }),
    ...(password === null ? {} : { passphrase: password }),
    ...(crl === null ? {} : { crl: contents('sslcrl', crl) }),
    // else the driver says the name of the host
    ...(params.get('sslsni') === '0' ? { servername: '' } : {}),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...version(params, 'ssl_min_protocol_version', 'minVersion'),
    ...version(params, 'ssl_max_protocol_version', 'maxVersion'),
  };
}

function version(params: URLSearchParams, name: string, option: 'minVersion' | 'maxVersion'): ConnectionOptions {
  const given = params.get(name);
  if (given === null) return {};
  const found = versions.find((one) => one.toLowerCase() === given.toLowerCase());
  if (found === undefined)
    throw new StartupError(`DATABASE_URL: ${name}=${given}: expected one of ${versions.join(', ')}`);
  return { [option]: found };
}

function contents(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartupError(`DATABASE_URL: ${name}=${path} cannot be read: ${errorCode(error)}`);
  }
}
