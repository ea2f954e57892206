/** TLS to Postgres as DATABASE_URL asks for it, with a server of this file's own and certificates made by openssl. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openServer } from '../../src/storage/database.ts';
import { createClient } from '../../src/storage/client.ts';
import { StartupError } from '../../src/startup-error.ts';
import { startOwnPostgres, type OwnService } from '../support/services.ts';
import { until } from '../support/until.ts';

let postgres: OwnService;
const folder = mkdtempSync(join(tmpdir(), 'parley-tls-'));
const path = (name: string): string => join(folder, name);

function openssl(...args: string[]): void {
  const words = args.flatMap((arg) => (arg.startsWith('/') ? arg : arg.split(' ')));
  execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
}

function makeAuthority(name: string): void {
  openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj', `/CN=${name}`, `-keyout ${name}.key -out ${name}.crt`);
}

function makeCertificate(name: string, subject: string, names: string, digest = 'sha256'): void {
  writeFileSync(path(`${name}.ext`), names === '' ? '' : `subjectAltName=${names}\n`);
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    `/CN=${subject}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
  );
  openssl(
    `x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -${digest} -extfile ${name}.ext -out ${name}.crt`,
  );
}

/** The server goes on with this certificate. */
async function serveWith(name: string): Promise<void> {
  const sql = createClient(postgres.url, { max: 1 });
  const [{ directory }] = await sql<[{ directory: string }]>`select current_setting('data_directory') as directory`;
  const { uid, gid } = statSync(directory);
  for (const file of [`${name}.crt`, `${name}.key`, 'ca.crt']) {
    copyFileSync(path(file), join(directory, file));
    if (process.getuid?.() === 0) chownSync(join(directory, file), uid, gid);
    chmodSync(join(directory, file), 0o600);
  }
  await sql.unsafe(`alter system set ssl_cert_file = '${name}.crt'`);
  await sql.unsafe(`alter system set ssl_key_file = '${name}.key'`);
  await sql.unsafe(`alter system set ssl_ca_file = 'ca.crt'`);
  await sql.unsafe('alter system set ssl = on');
  await sql`select pg_reload_conf()`;
  await until('the server has the certificate', async () => {
    const [row] = await sql<[{ name: string }]>`select current_setting('ssl_cert_file') as name`;
    return row.name === `${name}.crt`;
  });
  await sql.end();
}

beforeAll(async () => {
  postgres = await startOwnPostgres();
  makeAuthority('ca');
  makeAuthority('stranger');
  makeCertificate('both', 'postgres', 'DNS:localhost,IP:127.0.0.1');
  makeCertificate('name', 'postgres', 'DNS:localhost');
  makeCertificate('other', 'elsewhere', 'DNS:elsewhere.example');
  makeCertificate('client', 'parley', '');
  await serveWith('both');
}, 60_000);
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

const urlOf = (query: string, host = '127.0.0.1'): string =>
  `${postgres.url.replace('127.0.0.1', host)}?${query.replaceAll(/\{(.*?)\}/g, (_, name: string) => path(name))}`;

/** The session as Postgres reports it, or the error. */
async function session(
  url: string,
): Promise<{ encrypted: boolean; client: string | null; version: string | null } | string> {
  const opened = await openServer({ url, poolSize: 1 }).catch((error: unknown) => error);
  if (opened instanceof StartupError) return opened.message;
  if (opened instanceof Error || typeof opened !== 'object' || opened === null || !('sql' in opened)) throw opened;
  const database = opened as Awaited<ReturnType<typeof openServer>>;
  const [row] = await database.sql<[{ encrypted: boolean; client: string | null; version: string | null }]>`
    select ssl as encrypted, client_dn as client, version from pg_stat_ssl where pid = pg_backend_pid()`;
  await database.close();
  return row;
}

it.each([
  ['', false],
  ['sslmode=disable', false],
  ['sslmode=prefer', true],
  ['sslmode=allow', true],
  ['sslmode=require', true],
  ['ssl=true', true],
  ['sslmode=no-verify', true],
  ['sslmode=require&sslrootcert={ca.crt}', true],
  ['sslmode=verify-ca&sslrootcert={ca.crt}', true],
  ['sslmode=verify-full&sslrootcert={ca.crt}', true],
  ['sslrootcert={ca.crt}', true],
  ['sslmode=require&sslsni=0&gssencmode=disable&sslcompression=0&channel_binding=prefer', true],
])('a session with ?%s is encrypted: %s', async (query, encrypted) => {
  for (const host of ['127.0.0.1', 'localhost'])
    expect(await session(urlOf(query, host)), host).toMatchObject({ encrypted });
});

it('the certificate of a client is sent, with a key that may have a password', async () => {
  openssl('pkcs8', '-topk8', '-in', 'client.key', '-passout', 'pass:opensesame', '-out', 'locked.key');
  const certificate = 'sslmode=verify-full&sslrootcert={ca.crt}&sslcert={client.crt}';
  expect(await session(urlOf(`${certificate}&sslkey={client.key}`))).toMatchObject({ client: '/CN=parley' });
  expect(await session(urlOf(`${certificate}&sslkey={locked.key}&sslpassword=opensesame`))).toMatchObject({
    client: '/CN=parley',
  });
  expect(await session(urlOf(`${certificate}&sslkey={locked.key}&sslpassword=wrong`))).toMatch(/cannot be/);
});

it('the version of TLS is kept to', async () => {
  expect(await session(urlOf('sslmode=require&ssl_max_protocol_version=TLSv1.2'))).toMatchObject({
    version: 'TLSv1.2',
  });
  expect(await session(urlOf('sslmode=require&ssl_min_protocol_version=TLSv1.3'))).toMatchObject({
    version: 'TLSv1.3',
  });
});

it.each(['sslmode=verify-full', 'sslmode=verify-ca', 'sslmode=require'])(
  'a server of another authority is refused: %s',
  async (mode) => {
    const refused = await session(urlOf(`${mode}&sslrootcert={stranger.crt}`));
    expect(refused).toMatch(/^Postgres at 127\.0\.0\.1:\d+ cannot be used: .*certificate/i);
    expect(refused).not.toContain('\n');
  },
);

it('a name that the certificate does not have is refused by verify-full alone', async () => {
  await serveWith('name');
  expect(await session(urlOf('sslmode=verify-full&sslrootcert={ca.crt}', 'localhost'))).toMatchObject({
    encrypted: true,
  });
  // the certificate is of localhost, and the address is not
  expect(await session(urlOf('sslmode=verify-full&sslrootcert={ca.crt}'))).toMatch(/127\.0\.0\.1/);
  expect(await session(urlOf('sslmode=verify-ca&sslrootcert={ca.crt}'))).toMatchObject({ encrypted: true });
  await serveWith('other');
  expect(await session(urlOf('sslmode=verify-full&sslrootcert={ca.crt}', 'localhost'))).toMatch(
    /cannot be used: .*localhost/,
  );
  await serveWith('both');
});

it('requests of each of several hosts its own certificate', async () => {
  await serveWith('name');
  const { port } = new URL(postgres.url);
  const several = (hosts: string): string =>
    urlOf('sslmode=verify-full&sslrootcert={ca.crt}').replace(`127.0.0.1:${port}`, hosts);
  expect(await session(several(`elsewhere.invalid:1,localhost:${port}`))).toMatchObject({ encrypted: true });
  expect(await session(several(`localhost:1,127.0.0.1:${port}`))).toMatch(/cannot be/);
  await serveWith('both');
});

it('the password is bound to the TLS channel, so nobody between can use it', async () => {
  expect(await session(urlOf('sslmode=require&channel_binding=require'))).toMatchObject({ encrypted: true });
  for (const [binding, answer] of [
    ['prefer', { encrypted: true }],
    ['require', expect.stringMatching(/channel binding/)],
  ] as const) {
    const between = await standBetween();
    const url = urlOf(`sslmode=require&channel_binding=${binding}`).replace(new URL(postgres.url).port, between.port);
    expect(await session(url), binding).toEqual(
      typeof answer === 'object' && 'encrypted' in answer ? expect.objectContaining(answer) : answer,
    );
    between.close();
  }
  // the hash is the one that the signature of the certificate uses
  for (const digest of ['sha384', 'sha512']) {
    makeCertificate(digest, 'postgres', 'DNS:localhost', digest);
    await serveWith(digest);
    expect(await session(urlOf('sslmode=require&channel_binding=require')), digest).toMatchObject({ encrypted: true });
  }
  await serveWith('both');
});

/** Ends TLS with a certificate of its own and passes on what it reads, as an eavesdropper would. */
async function standBetween(): Promise<{ port: string; close: () => void }> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => socket.destroy());
  };
  const request = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
  const listener = createServer((near) => {
    keep(near).once('data', () => {
      const far = keep(connect(Number(new URL(postgres.url).port), '127.0.0.1'));
      far.write(request);
      far.once('data', () => {
        near.write('S');
        const [cert, key] = [readFileSync(path('other.crt')), readFileSync(path('other.key'))];
        const inner = keep(new TLSSocket(near, { isServer: true, cert, key }));
        const outer = keep(connectTls({ socket: far, rejectUnauthorized: false }));
        inner.pipe(outer).pipe(inner);
      });
    });
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: String((listener.address() as AddressInfo).port),
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

it('a revoked certificate is refused', async () => {
  writeFileSync(
    path('ca.conf'),
    '[ca]\ndefault_ca=a\n[a]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=2\n',
  );
  writeFileSync(path('index'), '');
  writeFileSync(path('number'), '01\n');
  const authority = ['ca', '-config', 'ca.conf', '-keyfile', 'ca.key', '-cert', 'ca.crt'];
  openssl(...authority, '-gencrl', '-out', 'none.crl');
  openssl(...authority, '-revoke', 'both.crt');
  openssl(...authority, '-gencrl', '-out', 'both.crl');
  const checked = 'sslmode=verify-full&sslrootcert={ca.crt}&sslcrl=';
  expect(await session(urlOf(`${checked}{none.crl}`))).toMatchObject({ encrypted: true });
  expect(await session(urlOf(`${checked}{both.crl}`))).toMatch(/revoked/);
});

it('a server without TLS is refused where TLS is required, and served in plain text where TLS is preferred', async () => {
  const sql = createClient(postgres.url, { max: 1 });
  await sql.unsafe('alter system set ssl = off');
  await sql`select pg_reload_conf()`;
  await until('the server has no TLS', async () => {
    const [row] = await sql<[{ ssl: string }]>`select current_setting('ssl') as ssl`;
    return row.ssl === 'off';
  });
  await sql.end();
  expect(await session(urlOf('sslmode=prefer'))).toMatchObject({ encrypted: false });
  for (const query of ['sslmode=require', 'sslmode=verify-full&sslrootcert={ca.crt}'])
    expect(await session(urlOf(query)), query).toMatch(/^Postgres at .* has no TLS; .*sslmode/);
});
