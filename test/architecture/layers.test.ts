import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

/** From the top down: each may import values only from those that stand after it. */
const layers = [
  'cli',
  'config',
  'processes',
  'api',
  'interop',
  'commands',
  'connect',
  'hub',
  'notifications',
  'retention',
  'transfer',
  'recovery',
  'threads',
  'receipts',
  'search',
  'presence',
  'sessions',
  'uploads',
  'messages',
  'rooms',
  'transport',
  'http',
  'fanout',
  'rates',
  'storage',
  'telemetry',
  'jobs',
  'protocol',
];

/** The files at the top of src/ wire the parts. The parts may import only the lowest of these files. */
const lowest = 'startup-error.ts';

/** The files of the protocol that browsers may load. The command schemas would bring zod. */
const protocolForClients = [
  'protocol/errors.ts',
  'protocol/limits.ts',
  'protocol/client-limits.ts',
  'protocol/mention-scan.ts',
];

/** The page reads the table of rights too, so that what it shows and what the server allows are one thing. */
const tablesForPages = ['protocol/permissions.ts'];

interface Import {
  readonly from: string;
  /** A path under src/, or the name of a package. */
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const statements = text.matchAll(
    /^\s*(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm,
  );
  return [...statements].map(([, type, names = '', fixed, dynamic]) => {
    const target = fixed ?? dynamic ?? '';
    const named =
      /^\{([\s\S]*)\}$/
        .exec(names.trim())?.[1]
        ?.split(',')
        .filter((name) => name.trim() !== '') ?? [];
    return {
      from: file,
      to: target.startsWith('.') ? normalize(join(dirname(file), target)).replaceAll('\\', '/') : target,
      typeOnly: type !== undefined || (named.length > 0 && named.every((name) => /^\s*type\s/.test(name))),
    };
  });
}

/** `storage` for `storage/embedded/bridge.ts`. */
function partOf(path: string): string {
  return path.split('/')[0]?.replace(/\.tsx?$/, '') ?? '';
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts') && !file.includes('node_modules/'));
const imports = files.flatMap(importsOf);
const inside = imports.filter(({ to }) => /\.tsx?$/.test(to));
/** The files of the server's process. */
const server = files.filter((file) => !['client', 'react', 'web'].includes(partOf(file)));
const codeOf = (file: string): string =>
  readFileSync(join(src, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
const show = ({ from, to }: Import): string => `${from} imports ${to}`;

describe('the layers of src', () => {
  it('are those of the list', () => {
    const known = [...layers, 'client', 'react', 'web'];
    const unknown = files.filter((file) => file.includes('/') && !known.includes(partOf(file)));
    expect(unknown).toEqual([]);
    expect(imports.length).toBeGreaterThan(20);
  });

  it('import downwards only', () => {
    const upwards = inside.filter(({ from, to, typeOnly }) => {
      const [above, below] = [layers.indexOf(partOf(from)), layers.indexOf(partOf(to))];
      return !typeOnly && above !== -1 && below !== -1 && above > below;
    });
    expect(upwards.map(show)).toEqual([]);
  });

  it('have no circle of files', () => {
    const next = new Map(files.map((file) => [file, inside.filter((one) => one.from === file && !one.typeOnly)]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' > '));
      if (done.has(file) || path.includes(file)) return;
      for (const { to } of next.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  it('are wired from the top: no part reads the configuration or reaches for the application', () => {
    const upwards = inside.filter(
      ({ from, to, typeOnly }) =>
        !typeOnly && from.includes('/') && partOf(from) !== 'cli' && !to.includes('/') && to !== lowest,
    );
    expect(upwards.map(show)).toEqual([]);
    const readers = inside.filter(
      ({ from, to, typeOnly }) =>
        !typeOnly && partOf(to) === 'config' && from.includes('/') && !['cli', 'config'].includes(partOf(from)),
    );
    expect(readers.map(show)).toEqual([]);
  });

  it('leave process.env to config/config.ts', () => {
    const readers = files.filter((file) => readFileSync(join(src, file), 'utf8').includes('process.env'));
    expect(readers.filter((file) => file !== 'config/config.ts')).toEqual([]);
  });

  it('leave the whole configuration to the composition root and the command line', () => {
    const roots = ['app.ts', 'main.ts', 'worker-process.ts'];
    const readers = inside.filter(
      ({ from, to }) => to === 'config/config.ts' && !roots.includes(from) && !['cli', 'config'].includes(partOf(from)),
    );
    expect(readers.map(show)).toEqual([]);
    expect(server.filter((file) => /\.\.\.config\b/.test(codeOf(file)))).toEqual([]);
  });

  it('leave work that repeats to PeriodicTask, and its timers to jobs/clock.ts', () => {
    // each of these timers runs once; the loops end with the work that they wait for
    const reasons: Readonly<Record<string, string>> = {
      'api/bridge/answer.ts': 'the limit of one slow reader',
      'api/bridge/body.ts': 'the limit of one body',
      'api/keys/known-keys.ts': 'the wait of a caller before a further read',
      'cli/beside/request-line.ts': 'the limit of one request',
      'cli/beside/server.ts': 'the limit of the stop',
      'cli/run.ts': 'attempts while a server starts or stops',
      'hub/connection.ts': 'the limit of one ack, in the record of its wait',
      'hub/drain.ts': 'a loop over the connections that leave',
      'interop/socketio-redis/pending-acks.ts': 'the limit of one event to many connections',
      'interop/socketio-redis/remote-socket.ts': 'the end of one connection',
      'main.ts': 'the limit of the stop',
      'messages/writer/commit.ts': 'a loop of attempts at one commit',
      'messages/writer/outbox-cleanup.ts': 'a timer while published rows wait',
      'presence/forget.ts': 'a loop of a command',
      'processes/child.ts': 'the limit of the stop of a worker',
      'processes/supervisor.ts': 'the start of one worker',
      'receipts/read-marks.ts': 'a timer while marks wait',
      'recovery/replay-buffer.ts': 'the attempts at one read',
      'retention/forget-user.ts': 'a loop of a command',
      'retention/retention.ts': 'rests within a run',
      'retention/room-purge.ts': 'rests within a run',
      'rooms/member-coalescer.ts': 'the window of one room',
      'search/search-index.ts': 'rests within a run',
      'sessions/token-naming.ts': 'a loop while sessions wait for their tokens',
      'storage/data-folder.ts': 'a pause of the start',
      'storage/hosts.ts': 'the patience of one choice of a host',
      'storage/locks.ts': 'attempts at a lock, which end with it',
      'storage/redis-connection.ts': 'the limit of one probe, which each byte moves',
      'storage/redis.ts': 'the wait for the first connection',
      'telemetry/paced.ts': 'the pause before one text',
      'transport/engineio/candidate.ts': 'the limit of one upgrade',
    };
    const timer = /\bsetTimeout\(|import \{ setTimeout\b/;
    const users = server.filter((file) => timer.test(codeOf(file)) && file !== 'jobs/clock.ts');
    expect(users.toSorted()).toEqual(Object.keys(reasons).toSorted());
  });

  it('leave time limits to jobs/within.ts', () => {
    const users = server.filter((file) => /\bPromise\.race\(/.test(codeOf(file)));
    // the second waits for two events; the limit of the third begins with an answer
    expect(users.toSorted()).toEqual(['jobs/within.ts', 'storage/embedded/bridge.ts', 'storage/hosts.ts']);
  });

  it('have one clock: a part with an injected clock reads no other', () => {
    const injected = inside.filter(({ to }) => to === 'jobs/clock.ts').map(({ from }) => from);
    expect(injected.length).toBeGreaterThan(20);
    const other = /\bperformance\.now\(|\bset(Timeout|Interval)\(|node:timers/;
    expect(injected.filter((file) => other.test(codeOf(file)))).toEqual([]);
  });

  it('leave timers that repeat to jobs/periodic.ts: an exception in a bare one ends the process', () => {
    const users = server.filter((file) => /\bsetInterval\(/.test(codeOf(file)));
    expect(users).toEqual(['jobs/periodic.ts']);
  });

  it('leave figures of the system to telemetry/system.ts: they open files, which fails at the limit of them', () => {
    const calls = /\bprocess\.(memoryUsage|report|resourceUsage)\b|\/proc\/self\/(limits|stat)/;
    const users = server.filter((file) => calls.test(codeOf(file)));
    // an import shows its progress; it serves nobody
    expect(users.filter((file) => file !== 'cli/transfer.ts')).toEqual(['telemetry/system.ts']);
  });

  it('open files and start processes only where a failure has a taker', () => {
    // at the start, whose errors end it with a line; in a worker thread; the fork, whose error event is handled
    const takers = [
      'http/static-files.ts',
      'sessions/demo-secret.ts',
      'config/checks.ts',
      'config/secrets.ts',
      'transfer/',
      'storage/connection-tls.ts',
      'storage/data-folder.ts',
      'storage/database.ts',
      'storage/embedded/',
      'storage/function-files.ts',
      'storage/migrate.ts',
      'telemetry/system.ts',
      // an error of a file is the error of its request
      'uploads/',
      'cli/transfer.ts',
      'cli/beside/',
      'version.ts',
      'processes/child.ts',
    ];
    const users = imports
      .filter(({ from, to, typeOnly }) => server.includes(from) && !typeOnly && /^node:(fs|child_process)/.test(to))
      .map(({ from }) => from);
    expect(users.filter((file) => !takers.some((taker) => file.startsWith(taker)))).toEqual([]);
  });

  it('leave the driver of Postgres to storage/client.ts, and its types to storage/sql.ts', () => {
    const others = imports.filter(({ to }) => to === 'postgres').map(({ from }) => from);
    expect(others.toSorted()).toEqual(['storage/client.ts', 'storage/sql.ts']);
  });

  it('leave prom-client to telemetry', () => {
    const others = imports.filter(({ from, to }) => to === 'prom-client' && partOf(from) !== 'telemetry');
    expect(others.map(show)).toEqual([]);
  });
});

describe('what runs in browsers', () => {
  it('has a client that imports nothing but the protocol, and of that no schema', () => {
    const wrong = imports
      .filter(({ from }) => partOf(from) === 'client')
      .filter(({ to, typeOnly }) => {
        if (partOf(to) === 'client') return false;
        return typeOnly ? partOf(to) !== 'protocol' : !protocolForClients.includes(to);
      });
    expect(wrong.map(show)).toEqual([]);
  });

  it('has hooks that import nothing but the client and React', () => {
    const wrong = imports
      .filter(({ from }) => partOf(from) === 'react')
      .filter(({ to }) => to !== 'react' && !['client', 'react'].includes(partOf(to)));
    expect(wrong.map(show)).toEqual([]);
  });

  it('loads files of the server that import no package', () => {
    const loaded = [...protocolForClients, ...tablesForPages];
    const wrong = imports.filter(
      ({ from, to, typeOnly }) => loaded.includes(from) && !typeOnly && !protocolForClients.includes(to),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('has shared parts of the pages that import no screen', () => {
    const wrong = inside.filter(({ from, to }) => from.startsWith('web/ui/') && to.startsWith('web/chat/'));
    expect(wrong.map(show)).toEqual([]);
  });

  it('has pages that import nothing of the server but types of the protocol, and the table of rights', () => {
    const wrong = inside
      .filter(({ from }) => partOf(from) === 'web')
      .filter(
        ({ to, typeOnly }) =>
          !['web', 'client'].includes(partOf(to)) &&
          !(typeOnly && partOf(to) === 'protocol') &&
          !tablesForPages.includes(to),
      );
    expect(wrong.map(show)).toEqual([]);
  });
});
