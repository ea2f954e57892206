import { expect, it } from 'vitest';
import { readConnectionUrl } from '../../src/storage/connection-url.ts';

it.each([
  ['postgres://u:p@h/d', { host: ['h'], port: [5432], ssl: false }],
  [
    'postgresql://u:p@h:6543/d?sslmode=require&channel_binding=require',
    { host: ['h'], port: [6543], ssl: { rejectUnauthorized: false, servername: 'h' } },
  ],
  ['postgres://u@h/d?sslmode=verify-full', { ssl: { rejectUnauthorized: true, servername: 'h' } }],
  ['postgres://u@h/d?sslmode=verify-ca', { ssl: { rejectUnauthorized: true } }],
  ['postgres://u@h/d?sslmode=prefer&keepalives=1&keepalives_idle=30', { ssl: 'prefer' }],
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

it('refuses in one line what it cannot take', () => {
  expect(() => readConnectionUrl('postgres://u:hunter2@h/d?sslmode=always')).toThrow(
    /^DATABASE_URL: sslmode=always: expected one of/,
  );
  expect(() => readConnectionUrl('postgres://u@h/d?sslmode=verify-ca&sslrootcert=/nowhere')).toThrow(
    /sslrootcert=\/nowhere cannot be read: ENOENT/,
  );
});
