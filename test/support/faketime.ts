/** libfaketime (Debian: `faketime`, macOS: `libfaketime`), for a process whose clock is wrong. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folders = ['/usr/lib/faketime', '/usr/local/lib/faketime', '/usr/lib64/faketime'];

function library(): string | undefined {
  const multiarch = existsSync('/usr/lib')
    ? readdirSync('/usr/lib').map((name) => join('/usr/lib', name, 'faketime'))
    : [];
  return [...folders, ...multiarch]
    .map((folder) => join(folder, 'libfaketimeMT.so.1'))
    .find((path) => existsSync(path));
}

/** The environment of a process whose clock is off by so many seconds; undefined: this machine has no libfaketime. */
export function wrongClock(seconds: number): Record<string, string> | undefined {
  const path = library();
  if (path === undefined) return undefined;
  // intervals stay right, as they do on a machine whose clock is wrong
  const offset = `${seconds < 0 ? '' : '+'}${seconds}s`;
  return { LD_PRELOAD: path, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' };
}
