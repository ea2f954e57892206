/**
 * Loads the configuration: the only reader of the environment, and of the files that the environment names for secrets. `loadConfig`
 * parses every key, lists every bad one in a single error, and returns a frozen object. Every other part gets its slice by constructor.
 */
import { contradictions } from './checks.ts';
import { masked, suggestion } from './describe.ts';
import { configKeys } from './keys/all.ts';
import type { Key, ValueOf } from './keys/key.ts';
import { secretOf } from './secrets.ts';
import { StartupError } from '../startup-error.ts';

type Keys = typeof configKeys;

export type Config = { readonly [K in keyof Keys]: ValueOf<Keys[K]> } & {
  /** No DATABASE_URL: Postgres runs inside this process, and the demo's guests are on. */
  readonly embedded: boolean;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws {StartupError} naming every bad and every unknown `PARLEY_*` key with what was expected. */
export function loadConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(configKeys) as [string, Key<unknown>][]) {
    const given = entry.secret ? secretOf(env, entry.env, problems) : env[entry.env];
    const source = given === undefined || given === '' ? entry.default : given.trim();
    if (source === undefined) continue;
    const expected = given ? misread(source, entry.lines === true) : undefined;
    const parsed = expected === undefined ? entry.parse(source) : ({ ok: false, expected } as const);
    if (parsed.ok) values[name] = parsed.value;
    else problems.push(`${entry.env}=${entry.secret ? '(hidden)' : masked(source)}: expected ${parsed.expected}`);
  }
  const all: Key<unknown>[] = Object.values(configKeys);
  const known = new Set(all.flatMap((entry) => (entry.secret ? [entry.env, `${entry.env}_FILE`] : entry.env)));
  for (const name of Object.keys(env)) {
    if (name.startsWith('PARLEY_') && !known.has(name)) problems.push(`${name}: unknown${suggestion(name, known)}`);
  }
  if (problems.length === 0) problems.push(...contradictions(values as unknown as Config));
  if (problems.length > 0) throw new StartupError(`Bad configuration:\n  ${problems.join('\n  ')}`);
  const config = { ...values, embedded: values['databaseUrl'] === undefined } as Config;
  return Object.freeze(config);
}

/** The configuration with other roles: `--roles` takes precedence over PARLEY_ROLES. @throws {StartupError} */
export function withRoles(config: Config, roles: string): Config {
  const parsed = configKeys.roles.parse(roles);
  if (!parsed.ok) throw new StartupError(`--roles ${roles}: expected ${parsed.expected}.`);
  return Object.freeze(Object.assign({}, config, { roles: parsed.value }));
}

/** Settings that are of use only together, checked where a server is to run. `token` and `--help` need less. */
export function requireKeys(config: Config): void {
  if (config.embedded) {
    if (config.redisUrl === undefined) return;
    throw new StartupError('REDIS_URL needs a shared Postgres: set DATABASE_URL too.');
  }
  if (config.jwtSecret === undefined && config.jwtPublicKey === undefined && config.jwksUrl === undefined) {
    throw new StartupError(
      'DATABASE_URL is set, so Parley is not a demo: a key is needed to check tokens. Set PARLEY_JWT_SECRET, ' +
        'PARLEY_JWT_PUBLIC_KEY or PARLEY_JWKS_URL. `openssl rand -base64 48` makes a secret (at least 32 bytes).',
    );
  }
}

/** The environment of a child process: that of this process, with these keys changed. */
export function environmentWith(changed: Environment): NodeJS.ProcessEnv {
  return { ...process.env, ...changed };
}

/** A value that a shell or a file has spoiled. White space at the ends has been cut off. @returns what was expected. */
function misread(source: string, lines: boolean): string | undefined {
  if (source === '') return 'a value, or none at all';
  if (/^(["'`])[^]*\1$/.test(source) && source.length > 1) return 'a value without quotes around it';
  return !lines && /[\r\n\0]/.test(source) ? 'one line' : undefined;
}
