/**
 * Peers that are no npm package come from Debian. If the package is not installed, apt-get downloads it, and it is unpacked
 * under bench/.build/debian. Nothing is installed on the machine.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '.build/debian');
const tries = new Map<string, string | undefined>();

const run = (command: string, args: readonly string[]): { ok: boolean; text: string } => {
  const done = spawnSync(command, args, { encoding: 'utf8', cwd: folder, timeout: 60_000 });
  return { ok: done.status === 0, text: `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trim() };
};

const archiveOf = (name: string): string | undefined =>
  readdirSync(folder).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));

/** Unpacks a package. @returns the reason if that fails. A second call answers from memory. */
function unpack(name: string): string | undefined {
  if (tries.has(name)) return tries.get(name);
  const why = ((): string | undefined => {
    if (!existsSync('/usr/bin/apt-get')) return 'not installed, and there is no apt-get to fetch it with';
    mkdirSync(folder, { recursive: true });
    if (archiveOf(name) === undefined && !run('apt-get', ['download', name]).ok)
      return `not installed, and \`apt-get download ${name}\` failed`;
    const archive = archiveOf(name);
    if (archive === undefined) return `not installed, and apt-get brought no archive of ${name}`;
    const unpacked = run('dpkg-deb', ['-x', archive, join(folder, name)]);
    return unpacked.ok ? undefined : `not installed, and its package does not unpack: ${unpacked.text}`;
  })();
  tries.set(name, why);
  return why;
}

/** The path of a package's file, installed or unpacked. @param path as in the package: `usr/sbin/nats-server` */
export function debianFile(name: string, path: string): { path: string } | { why: string } {
  if (existsSync(`/${path}`)) return { path: `/${path}` };
  const unpacked = join(folder, name, path);
  if (!existsSync(unpacked)) {
    const why = unpack(name);
    if (why !== undefined) return { why };
  }
  return existsSync(unpacked) ? { path: unpacked } : { why: `${name} has no ${path}` };
}

export function debianVersion(name: string): string {
  const installed = run('dpkg-query', ['-W', '-f', '${Version}', name]);
  if (installed.ok && installed.text !== '') return installed.text;
  const archive = existsSync(folder) ? archiveOf(name) : undefined;
  return archive === undefined ? '?' : run('dpkg-deb', ['-f', archive, 'Version']).text;
}
