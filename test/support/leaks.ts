/** A test file fails when it leaves a socket, a test database, a child process or a timer open. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, expect, inject } from 'vitest';
import { openDatabases } from './open-databases.ts';
import { guardMark } from './processes.ts';
import { until } from './until.ts';

/** Closing takes a moment, and `fetch` keeps an idle connection for some seconds. */
const closingLimitMs = 15_000;

// The state before the test file is loaded.
const before = new Set(opened());
const timersBefore = timers();

// The first hook that is registered runs last: the file has closed everything by then.
afterAll(async () => {
  if (left().length === 0) return;
  try {
    await until('nothing is left open', () => left().length === 0, closingLimitMs);
  } catch {
    const file = expect.getState().testPath ?? 'this file';
    throw new Error(`${file} left open:\n${left().join('\n')}`);
  }
});

function left(): string[] {
  const more = timers() - timersBefore;
  return [
    ...opened().filter((one) => !before.has(one)),
    ...(more > 0 ? [`${more} timers that keep the process alive`] : []),
  ];
}

function opened(): string[] {
  return [...openSockets(), ...children(), ...[...openDatabases].map((name) => `a test database: ${name}`)];
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

/** TCP sockets of this process in the lists of Linux, which have also those of uWebSockets.js. Empty on other systems. */
function openSockets(): string[] {
  const inodes = new Set<string>();
  for (const fd of listed('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // it was closed meanwhile
    }
  }
  const ports = new Map([
    [new URL(inject('postgresUrl')).port, 'Postgres'],
    [new URL(inject('redisUrl')).port, 'Redis'],
  ]);
  return ['tcp', 'tcp6'].flatMap((table) =>
    lines(`/proc/self/net/${table}`).flatMap((line) => {
      const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (!inodes.has(inode)) return [];
      if (state === '0A') return [`a port that listens: ${portOf(local)}`];
      const peer = ports.get(portOf(remote)) ?? `port ${portOf(remote)}`;
      return [`a connection from port ${portOf(local)} to ${peer}`];
    }),
  );
}

function children(): string[] {
  return listed('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    const [stat = ''] = lines(`/proc/${pid}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(parent) !== process.pid || state === 'Z') return [];
    const command = lines(`/proc/${pid}/cmdline`).join(' ').replaceAll('\0', ' ').trim();
    return command.includes(guardMark) ? [] : [`a child process: ${pid} ${command.slice(0, 120)}`];
  });
}

// hoisted: the state before the test file needs it
function portOf(address: string): string {
  return String(Number.parseInt(address.split(':')[1] ?? '', 16));
}

function listed(folder: string): string[] {
  return process.platform === 'linux' ? readdirSync(folder) : [];
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return []; // a process that ended meanwhile
  }
}
