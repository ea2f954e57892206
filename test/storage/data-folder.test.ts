import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataFolder } from '../../src/storage/data-folder.ts';

const module = new URL('../../src/storage/data-folder.ts', import.meta.url).href;

/** A process that opens the folder, says `held` or the error's message, and stays. */
async function holder(folder: string): Promise<{ said: string; kill(): Promise<void> }> {
  const script = `
    import { openDataFolder } from ${JSON.stringify(module)};
    openDataFolder(process.argv[1]).then(() => console.log('held'), (error) => console.log(error.message));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return {
    said: said.trim(),
    async kill() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

describe('openDataFolder', () => {
  let parent: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'parley-folder-'));
  });
  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  it('creates the folder and its parents, and leaves nothing of the lock behind', async () => {
    const path = join(parent, 'a', 'b');
    const folder = await openDataFolder(path);
    expect(folder.path).toBe(path);
    expect(readdirSync(path)).toEqual(['lock']);
    await folder.release();
    expect(readdirSync(path)).toEqual([]);
  });

  it('refuses a folder that is in use, and has it again after its release', async () => {
    const first = await openDataFolder(parent);
    await expect(openDataFolder(parent)).rejects.toThrow(
      `The data folder ${parent} is in use by another Parley process`,
    );
    await first.release();
    await (await openDataFolder(parent)).release();
  });

  it('is refused to another process until the holder is killed', async () => {
    const other = await holder(parent);
    expect(other.said).toBe('held');
    await expect(openDataFolder(parent)).rejects.toThrow('is in use by another Parley process');
    await other.kill();
    expect(existsSync(join(parent, 'lock'))).toBe(true);
    await (await openDataFolder(parent)).release();
  });

  it.each(['fresh', 'dead'])('gives a folder whose lock is %s to one of many that ask at once', async (state) => {
    const dead = join(parent, 'dead');
    const other = await holder(dead);
    await other.kill();
    for (let round = 0; round < 30; round++) {
      const path = join(parent, String(round));
      mkdirSync(path);
      if (state === 'dead') linkSync(join(dead, 'lock'), join(path, 'lock'));
      const tries = await Promise.allSettled(Array.from({ length: 20 }, () => openDataFolder(path)));
      const held = tries.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(held).toHaveLength(1);
      await held[0]?.release();
      expect(readdirSync(path)).toEqual([]);
    }
  });

  it('locks folders whose path is longer than a socket address', async () => {
    const deep = join(parent, 'x'.repeat(120));
    const folder = await openDataFolder(deep);
    expect(readdirSync(deep)).toEqual([]);
    await expect(openDataFolder(deep)).rejects.toThrow('is in use');
    await folder.release();
  });

  it('says which folder cannot be written, and why', async () => {
    const file = join(parent, 'file');
    writeFileSync(file, '');
    await expect(openDataFolder(join(file, 'data'))).rejects.toThrow(
      `The data folder ${join(file, 'data')} cannot be written: ENOTDIR`,
    );
  });
});
