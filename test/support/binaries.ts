import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './processes.ts';

/** Folders under which packages put one folder for each version. */
const versionedFolders = ['/usr/lib/postgresql', '/usr/local', '/opt/homebrew/opt', '/usr/local/opt', '/usr'];

/** Servers are put here, and users have it in their PATH on some systems only. */
const systemFolders = ['/usr/sbin', '/usr/local/sbin'];

/** The folders that hold all of the named programs. */
export function findBinaries(...names: string[]): string[] {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const inPath = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const versioned = versionedFolders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((version) => join(folder, version, 'bin')));
  return [...inPath, ...systemFolders, ...versioned].filter((folder) =>
    names.every((name) => existsSync(join(folder, name + suffix))),
  );
}

/** 15 for `postgres (PostgreSQL) 15.14`; 0 for a program that does not run. */
export function majorVersion(path: string): number {
  try {
    return Number(/\d+/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[0] ?? 0);
  } catch {
    return 0;
  }
}

export async function installPackage(name: string, because: (reason: string) => void): Promise<boolean> {
  if (findBinaries('apt-get').length === 0) {
    because('there is no apt-get');
    return false;
  }
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const install = [...asRoot, 'apt-get', 'install', '-y', '--no-install-recommends', name];
  const [program = '', ...args] = install;
  try {
    await run(program, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
    return true;
  } catch (error) {
    because(`\`${install.join(' ')}\` failed: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}
