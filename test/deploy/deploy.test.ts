/** The deployment files, compared with the configuration, with each other, and with their promises. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, requireKeys } from '../../src/config/config.ts';
import { configKeys } from '../../src/config/keys/all.ts';
import { listOf, mapOf, parseYaml, textOf, type Yaml, type YamlMap } from './yaml.ts';

const file = (name: string): string => readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8');
const keys = new Set<string>(Object.values(configKeys).map(({ env }) => env));
const stopMs = 20_000 + loadConfig({}).shutdownMs;

let compose: YamlMap;
let services: YamlMap;
beforeAll(async () => {
  compose = await parseYaml(file('docker-compose.yml'));
  services = mapOf(compose['services']);
});

const service = (name: string): YamlMap => mapOf(services[name]);
const nodes = ['parley-1', 'parley-2', 'parley-3'];
const seconds = (value: Yaml | undefined): number => Number(/^(\d+)s$/.exec(textOf(value))?.[1]);

/** The way compose puts `.env` in; a required key that is missing or empty ends it. */
function interpolate(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$\{(\w+)(?:(:[?-])([^}]*))?\}/g, (_, name: string, how = '', rest = '') => {
    const value = env[name] ?? '';
    if (value === '' && how === ':?') throw new Error(String(rest));
    return value === '' ? String(rest) : value;
  });
}

describe('docker-compose.yml', () => {
  it('has three nodes, nginx, Postgres and Redis, and publishes nginx alone', () => {
    expect(Object.keys(services).sort()).toEqual([...nodes, 'nginx', 'postgres', 'redis'].sort());
    expect(Object.keys(services).filter((name) => 'ports' in service(name))).toEqual(['nginx']);
    expect(mapOf(mapOf(compose['networks'])['inside'])['internal']).toBe('true');
    for (const name of ['postgres', 'redis']) expect(service(name)['networks']).toEqual(['inside']);
    for (const name of Object.keys(services))
      expect([name, service(name)['restart']]).toEqual([name, 'unless-stopped']);
  });

  it('configures the nodes so that they would start, with secrets that have no default', () => {
    const given = { POSTGRES_PASSWORD: 'p4ss', PARLEY_JWT_SECRET: 'x'.repeat(32) };
    for (const name of nodes) {
      const environment = Object.entries(mapOf(service(name)['environment'])).map(([key, value]) => [
        key,
        textOf(value),
      ]);
      const env = (secrets: Record<string, string>): Record<string, string> =>
        Object.fromEntries(environment.map(([key = '', value = '']) => [key, interpolate(value, secrets)])) as Record<
          string,
          string
        >;
      const config = loadConfig(env(given));
      expect(() => requireKeys(config)).not.toThrow();
      expect(config).toMatchObject({ nodeName: name, embedded: false });
      const nginxAddress = mapOf(mapOf(service('nginx')['networks'])['front'])['ipv4_address'];
      expect(config.trustedProxies).toEqual([nginxAddress]);
      for (const secret of Object.keys(given))
        expect(() => env({ ...given, [secret]: '' })).toThrow(`set ${secret} in .env`);
      expect(file('.env.example')).toMatch(/^PARLEY_JWT_SECRET=$/m);
      expect(file('.env.example')).toMatch(/^POSTGRES_PASSWORD=$/m);
    }
  });

  it('gives a node the time to stop, the descriptors for its connections, and nothing else of the machine', () => {
    for (const name of nodes) {
      const node = service(name);
      expect(seconds(node['stop_grace_period']) * 1000).toBeGreaterThan(stopMs);
      const nofile = Number(mapOf(mapOf(node['ulimits'])['nofile'])['soft']);
      expect(nofile).toBeGreaterThan(2 * loadConfig({}).maxConnections);
      expect(node).toMatchObject({ read_only: 'true', cap_drop: ['ALL'] });
    }
  });

  it('starts each when what it needs is healthy', () => {
    const needs = (name: string): [string, Yaml | undefined][] =>
      Object.entries(mapOf(service(name)['depends_on'])).map(([on, how]) => [on, mapOf(how)['condition']]);
    for (const name of nodes)
      expect(needs(name)).toEqual([
        ['postgres', 'service_healthy'],
        ['redis', 'service_healthy'],
      ]);
    expect(needs('nginx')).toEqual(nodes.map((name) => [name, 'service_healthy']));
    // the nodes have theirs in the image
    for (const name of ['nginx', 'postgres', 'redis']) expect(service(name)['healthcheck']).toBeDefined();
    expect(file('Dockerfile')).toMatch(/^HEALTHCHECK /m);
    expect(listOf(service('redis')['command']).map(textOf).join(' ')).toContain('--maxmemory-policy noeviction');
  });

  it('mounts nginx the files that exist and include each other, with the nodes that are there', () => {
    const mounted = listOf(service('nginx')['volumes']).map((volume) => textOf(volume).split(':'));
    for (const [from = '', to] of mounted) {
      expect(file(from)).not.toBe('');
      expect(to).toBe(from.replace('./nginx', '/etc/nginx'));
    }
    const names = mounted.map(([from = '']) => from.replace('./nginx/', ''));
    for (const name of names)
      for (const [, included] of file(`nginx/${name}`).matchAll(/^\s*include (\S+);/gm))
        expect(names).toContain(included);
    const addresses = nodes.map((name) => textOf(mapOf(mapOf(service(name)['networks'])['front'])['ipv4_address']));
    const upstreams = [...file('nginx/parley-nodes.conf').matchAll(/^\s*server (\S+):3000/gm)].map(([, name]) => name);
    expect(upstreams).toEqual([...addresses, ...addresses, ...addresses]);
  });

  it('lies in a network that no cloud takes by default', () => {
    const front = mapOf(mapOf(compose['networks'])['front']);
    const [range] = listOf(mapOf(front['ipam'])['config']).map((one) => textOf(mapOf(one)['subnet']));
    const [first, second] = (range ?? '').split('.').map(Number) as [number, number];
    expect(range).toMatch(/^10\.\d+\.250\.0\/24$/);
    // AWS and Docker: 172.16.0.0/12; Google Cloud: 10.128.0.0/9; Azure: 10.0.0.0/16; Kubernetes: 10.96.0.0/12; Podman: 10.88.0.0/15.
    expect([first, second < 88, second > 43]).toEqual([10, true, true]);
  });
});

describe('nginx/', () => {
  it('waits longer for a silent client than Parley does', () => {
    const { pingIntervalMs, pingTimeoutMs } = loadConfig({});
    const timeout = /^proxy_read_timeout (\d+)s;/m.exec(file('nginx/parley-locations.conf'))?.[1];
    expect(Number(timeout) * 1000).toBeGreaterThan(pingIntervalMs + pingTimeoutMs);
  });

  it('puts its groups and its listeners into both forms of the nodes, and listens on IPv6 too', () => {
    const groups = (name: string): string[] =>
      [...file(`nginx/${name}`).matchAll(/^upstream (\w+) /gm)].map(([, group = '']) => group);
    expect(groups('parley-nodes.conf')).toEqual(['parley_any', 'parley_sticky', 'parley_all']);
    expect(groups('parley-names.conf')).toEqual(groups('parley-nodes.conf'));
    expect(file('nginx/parley.conf')).toMatch(/^ {2}listen \[::\]:80;/m);
    expect(file('nginx/parley-tls.conf')).toMatch(/^ {2}listen \[::\]:443 ssl;/m);
  });

  it('never sends a POST twice', () => {
    const directives = file('nginx/parley-locations.conf').replaceAll(/^\s*#.*$/gm, '');
    expect(directives).toMatch(/^proxy_next_upstream /m);
    expect(directives).not.toContain('non_idempotent');
  });
});

describe('the image and the unit', () => {
  it('name only keys that there are', () => {
    // of the compose file's reader, and of the load tests
    const others = new Set(['PARLEY_HTTP_PORT', 'PARLEY_URL', 'PARLEY_SECRET']);
    const pages = ['README.md', 'docs/connecting.md', 'docs/deployment.md', 'docs/features.md', 'docs/operations.md'];
    for (const name of ['Dockerfile', 'deploy/parley.service', 'docker-compose.yml', ...pages]) {
      const used = [...file(name).matchAll(/\bPARLEY_[A-Z_]+/g)].map(([key]) => key).filter((key) => !keys.has(key));
      expect([name, used.filter((key) => !others.has(key))]).toEqual([name, []]);
    }
  });

  it('leave secrets and what was built elsewhere out of the build', () => {
    const lines = file('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines[0]).toBe('*');
    const allowed = lines.slice(1).map((line) => line.replace('!', ''));
    const copied = [...file('Dockerfile').matchAll(/^COPY (?!--from)(.+)$/gm)].flatMap(([, args = '']) =>
      args.split(' ').slice(0, -1),
    );
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((path) => !allowed.includes(path))).toEqual([]);
    expect(allowed.filter((path) => !copied.includes(path))).toEqual([]);
  });

  it('run without rights and stop in order', () => {
    const image = file('Dockerfile');
    expect(image).toMatch(/^USER node$/m);
    expect(image).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(image.match(/npm ci/g)).toHaveLength(image.match(/npm ci .*--ignore-scripts/g)?.length ?? 0);
    const unit = file('deploy/parley.service');
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1000).toBeGreaterThan(stopMs);
    expect(unit).toMatch(/^KillMode=mixed$/m);
    expect(unit).toMatch(/^NoNewPrivileges=true$/m);
  });
});
