import { expect, it } from 'vitest';
import { durationOf } from '../../src/storage/connection-settings.ts';
import { splitHosts } from '../../src/storage/hosts.ts';
import { readConnectionUrl } from '../../src/storage/connection-url.ts';

it.each([
  ['postgres://u:p@h/d', { host: ['h'], port: [5432], ssl: false }],
  ['postgres://u@h/d?sslmode=require&sslsni=0', { ssl: { servername: '' } }],
  [
    'postgresql://u:p@h:6543/d?sslmode=require&channel_binding=require',
    { host: ['h'], port: [6543], ssl: { rejectUnauthorized: false }, channel_binding: 'require' },
  ],
  ['postgres://u@h/d?sslmode=verify-full', { ssl: { rejectUnauthorized: true } }],
  ['postgres://u@h/d?sslmode=verify-ca', { ssl: { rejectUnauthorized: true } }],
  [
    'postgres://u@h/d?sslmode=prefer&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=5',
    { ssl: 'prefer', keep_alive: 30 },
  ],
  ['postgres://u@h/d?keepalives=0&connect_timeout=5', { keep_alive: null, connect_timeout: 5 }],
  ['postgres://u@h/d?sslmode=disable', { ssl: false }],
  ['postgres://u@[::1]:6000/d', { host: ['::1'], port: [6000] }],
  ['postgres://u@[::1]/d', { host: ['::1'], port: [5432] }],
  ['postgres:///d?host=/var/run/postgresql', { host: '/var/run/postgresql', port: 5432 }],
  ['postgres://u@%2Fvar%2Frun/d', { host: '/var/run', port: 5432 }],
  ['postgres://u:p@a:1,b:2,c/d?target_session_attrs=read-write', { host: ['a', 'b', 'c'], port: [1, 2, 5432] }],
])('%s', (text, expected) => {
  const target = readConnectionUrl(text);
  expect(target).toMatchObject(expected);
  expect(target.url).not.toMatch(/channel_binding|keepalives|sslmode|host=/);
});

it('takes passwords with reserved characters, and keeps what the server is to get', () => {
  for (const password of ['a#b', 'a/b?c', 'a@b', 'a:b', '100%']) {
    const { url, host } = readConnectionUrl(`postgres://u:${password}@h/d?application_name=x`);
    expect([password, decodeURIComponent(new URL(url).password), host]).toEqual([password, password, ['h']]);
    expect(new URL(url).searchParams.get('application_name')).toBe('x');
  }
});

it.each([
  ['sslmode=always', /sslmode=always: expected one of/],
  ['sslmode=verify-ca&sslrootcert=/nowhere', /sslrootcert=\/nowhere cannot be read: ENOENT/],
  ['sslmode=require&sslcert=/nowhere&sslkey=/nowhere', /sslcert=\/nowhere cannot be read: ENOENT/],
  ['sslmode=require&sslcert=/nowhere', /sslcert needs sslkey/],
  ['sslmode=require&sslkey=/nowhere', /sslkey needs sslcert/],
  ['sslcert=/nowhere&sslkey=/nowhere', /sslcert needs sslmode=require/],
  ['sslmode=prefer&sslrootcert=/nowhere', /sslrootcert needs sslmode=require/],
  ['sslmode=require&sslrootcert=system', /sslrootcert=system needs sslmode=verify-full/],
  ['sslmode=require&sslcrl=/nowhere', /sslcrl needs sslmode=verify-ca/],
  ['sslmode=disable&sslnegotiation=direct', /sslnegotiation needs sslmode=require/],
  ['sslmode=require&sslnegotiation=tls', /sslnegotiation=tls: expected postgres or direct/],
  ['sslmode=require&ssl_min_protocol_version=2', /ssl_min_protocol_version=2: expected one of TLSv1/],
  ['host=/run&sslmode=verify-full', /sslmode=verify-full: a Unix socket has no TLS/],
  ['channel_binding=require', /channel_binding=require needs sslmode=require/],
  ['channel_binding=always', /channel_binding=always: expected disable, prefer or require/],
  ['gssencmode=require', /gssencmode=require: .*GSSAPI/],
  ['sslcompression=1', /sslcompression=1: /],
  ['keepalives=2', /keepalives=2: expected 0 or 1/],
  ['keepalives_idle=0', /keepalives_idle=0: expected seconds from 1/],
  ['keepalives_count=few', /keepalives_count=few: expected a whole number/],
  ['connect_timeout=0', /connect_timeout=0: expected seconds from 1/],
  ['connect_timeout=10s', /connect_timeout=10s: expected seconds/],
  ['passfile=/home/a/.pgpass', /passfile: /],
  ['service=chat', /service: /],
  ['user=x', /user: name the user before the host/],
  ['max=0', /max: use PARLEY_DATABASE_POOL_SIZE/],
  ['idle_timeout=0', /idle_timeout: /],
  ['client_encoding=latin1', /client_encoding=latin1: .*UTF8/],
  ['TimeZone=Europe/Berlin', /TimeZone=Europe\/Berlin: .*UTC/],
])('refuses ?%s in one line that names the setting', (query, expected) => {
  const read = (): unknown => readConnectionUrl(`postgres://u:hunter2@h/d?${query}`);
  expect(read).toThrow(expected);
  expect(read).toThrow(/^DATABASE_URL: [^\n]*$/);
  expect(read).not.toThrow(/hunter2/);
});

it.each(['a#b', 'a/b?c', 'a@b', 'a:b', '100%', 'a,b', 'x@y:1,z'])(
  'takes the password %s of several hosts as it is',
  (password) => {
    const { url, hosts } = splitHosts(`postgres://u:${password}@h1:1,h2:2,[::1]/d?jit=off`);
    expect(hosts.map(({ host, port }) => `${host} ${port}`)).toEqual(['h1 1', 'h2 2', '::1 5432']);
    expect(decodeURIComponent(new URL(url).password)).toBe(password);
    expect(readConnectionUrl(url)).toMatchObject({ host: ['h1'], port: [1] });
  },
);

it.each([
  ['0', 0],
  ['1500', 1500],
  ['15s', 15_000],
  ['1min', 60_000],
  ['1.5 h', 5_400_000],
])('reads statement_timeout=%s as %d ms', (text, ms) => {
  expect(durationOf('statement_timeout', text)).toBe(ms);
});

it.each(['soon', '-1', '1 week', ''])('refuses statement_timeout=%s', (text) => {
  expect(() => durationOf('statement_timeout', text)).toThrow(
    /^DATABASE_URL: statement_timeout=.*: expected milliseconds/,
  );
});
