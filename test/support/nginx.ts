/** The real nginx with the configuration that we ship: ports, addresses and paths are put in, nothing else is changed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBinaries, installPackage } from './binaries.ts';
import { freePort, run, runServer, temporaryFolder } from './processes.ts';
import { until } from './until.ts';

const shipped = fileURLToPath(new URL('../../nginx/', import.meta.url));
const files = [
  'nginx.conf',
  'parley.conf',
  'parley-nodes.conf',
  'parley-names.conf',
  'parley-locations.conf',
  'parley-tls.conf',
];

export interface Nginx {
  readonly url: string;
  /** The same over IPv6. */
  readonly url6: string;
  readonly tlsUrl: string;
  readonly besideUrl: string;
  accessLog(): string;
  errorLog(): string;
  stop(): Promise<void>;
}

/** Throws where there is none and none can be installed: a proxy that is not tested is not known to work. */
export async function findNginx(): Promise<string> {
  const reasons: string[] = [];
  let [folder] = findBinaries('nginx');
  if (folder === undefined && (await installPackage('nginx', (reason) => reasons.push(reason))))
    [folder] = findBinaries('nginx');
  if (folder === undefined)
    throw new Error(`The tests need nginx. Install it (Debian: apt-get install nginx).\n${reasons.join('\n')}`);
  return join(folder, 'nginx');
}

export interface NginxOptions {
  /** Use parley-names.conf: host names with ports in the place of `nodes`, and the address of a DNS server. */
  readonly names?: { readonly hosts: readonly string[]; readonly resolver: string };
  /** A server that an operator adds to nginx.conf; `PORT` stands for a free port, which `besideUrl` has. */
  readonly beside?: string;
  /** How much nginx writes about itself; as shipped: `warn`. */
  readonly errorLevel?: 'warn' | 'info' | 'debug';
}

/** @param nodes ports of Parley nodes on this machine */
export async function startNginx(nodes: readonly number[], options: NginxOptions = {}): Promise<Nginx> {
  const program = await findNginx();
  const folder = temporaryFolder('parley-nginx-');
  const [port, tlsPort, besidePort] = [await freePort(), await freePort(), await freePort()];
  const [certificate, key] = await makeCertificate(folder);
  const changes: [RegExp, string][] = [
    [/listen 80;/, `listen 127.0.0.1:${port};`],
    [/listen \[::\]:80;/, `listen [::1]:${port};`],
    [/listen 443 ssl;/, `listen 127.0.0.1:${tlsPort} ssl;`],
    [/listen \[::\]:443 ssl;/, `listen [::1]:${tlsPort} ssl;`],
    [/\/etc\/nginx\/tls\/fullchain\.pem/, certificate],
    [/\/etc\/nginx\/tls\/privkey\.pem/, key],
    [
      /# include parley-tls\.conf;/,
      `include parley-tls.conf;\n${(options.beside ?? '').replace('PORT', `127.0.0.1:${besidePort}`)}`,
    ],
    [/\/run\/nginx\.pid/, join(folder, 'pid')],
    // a pipe of Node is a socket, which cannot be opened by its name
    [/\/dev\/stderr warn/, `${join(folder, 'error.log')} ${options.errorLevel ?? 'warn'}`],
    [/\/var\/log\/nginx\/access\.log parley/, `${join(folder, 'access.log')} parley`],
    [/^http \{/m, `http {\n${temporaryPaths(folder)}`],
    // the nodes that the test has, in the place of three
    [/ {2}server 10\.61\.250\.11:3000(.*)\n.*\n.*\n/g, nodes.map((node) => `  server 127.0.0.1:${node}$1\n`).join('')],
    ...(options.names === undefined ? [] : await namesInstead(options.names)),
  ];
  const used = new Set<RegExp>();
  for (const name of files) {
    let text = readFileSync(join(shipped, name), 'utf8');
    for (const [from, to] of changes) {
      const changed = text.replace(from, to);
      if (changed !== text) used.add(from);
      text = changed;
    }
    writeFileSync(join(folder, name), text);
  }
  const unused = changes.filter(([from]) => !used.has(from));
  if (unused.length > 0)
    throw new Error(`nginx/ has changed, this is no longer in it: ${unused.map(String).join(', ')}`);

  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
  await run(program, ['-t', ...args]);
  const server = runServer(program, [...args, '-g', 'daemon off;'], { cwd: folder }, { signal: 'SIGTERM', folder });
  const url = `http://127.0.0.1:${port}`;
  const log = (name: string) => () => readFileSync(join(folder, name), 'utf8');
  await until('nginx answers', async () => {
    if (server.ended() !== undefined) throw new Error(`${server.ended()}${log('error.log')()}`);
    return fetch(`${url}/metrics`).then(
      () => true,
      () => false,
    );
  });
  return {
    url,
    url6: `http://[::1]:${port}`,
    tlsUrl: `https://127.0.0.1:${tlsPort}`,
    besideUrl: `http://127.0.0.1:${besidePort}`,
    accessLog: log('access.log'),
    errorLog: log('error.log'),
    stop: () => server.stop(),
  };
}

/** The ports of the hop are free ones, and the names and their DNS server those of the test. */
async function namesInstead({ hosts, resolver }: NonNullable<NginxOptions['names']>): Promise<[RegExp, string][]> {
  const ports = await Promise.all(hosts.map(() => freePort()));
  const lines = (line: (port: number, at: number) => string): string => ports.map(line).join('');
  return [
    [/include parley-nodes\.conf;/, 'include parley-names.conf;'],
    [/^resolver 127\.0\.0\.11 valid=5s;/m, `resolver ${resolver} valid=1s ipv6=off;`],
    [/ {2}server 127\.0\.0\.1:13001(.*)\n.*\n.*\n/g, lines((port) => `  server 127.0.0.1:${port}$1\n`)],
    [/ {2}listen 127\.0\.0\.1:13001;\n.*\n.*\n/, lines((port) => `  listen 127.0.0.1:${port};\n`)],
    [/ {2}13001 .*\n.*\n.*\n/, lines((port, at) => `  ${port} ${hosts[at]};\n`)],
  ];
}

function temporaryPaths(folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return kinds.map((kind) => `  ${kind}_temp_path ${join(folder, kind)};`).join('\n');
}

async function makeCertificate(folder: string): Promise<[certificate: string, key: string]> {
  const [certificate, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await run('openssl', ['req', ...options, ...name, '-keyout', key, '-out', certificate]);
  return [certificate, key];
}
