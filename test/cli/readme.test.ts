/** The README's programs, as they are printed there, against a server as `npm start` starts it. */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/processes.ts';
import { entry, makeDataDir, spawnServer } from '../support/spawn.ts';
import { until } from '../support/until.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs an example until the expected text is printed: the example keeps its connection, and does not end by itself. */
async function say(file: string, expected: RegExp): Promise<string> {
  const child = spawn(process.execPath, [file], { cwd: dirname(file), stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  try {
    return await until(
      () => `${String(expected)} is printed, and not:\n${said}`,
      () => expected.exec(said)?.[0],
      60_000,
    );
  } finally {
    child.kill('SIGKILL');
  }
}

// A second run used to end with not_member: room:create answered conflict, and nobody had joined.
it('send, also a second time, come back, and publish from a back end', async () => {
  const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```js\n([\s\S]*?)^```/gm)];
  const [chat = '', back = '', shop = '', ...others] = blocks.map(([, code = '']) => code);
  expect(others).toEqual([]);
  const data = makeDataDir();
  const folder = temporaryFolder('parley-readme-');
  const server = await spawnServer({ PARLEY_DATA_DIR: data.path });
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const program = (name: string, code: string): string => {
      expect(code).toContain('http://localhost:3000');
      writeFileSync(join(folder, name), code.replaceAll('http://localhost:3000', server.url));
      return join(folder, name);
    };
    for (const seq of [1, 2]) await say(program('chat.mjs', chat), new RegExp(`ok: true,\\s+seq: ${seq},`));
    await say(program('back.mjs', `${chat}\n${back}`), /stored: 1 [^]*stored: 3 /);
    const token = execFileSync(process.execPath, [entry, 'token', '--user', 'backend:shop', '--backend'], {
      env: { PARLEY_DATA_DIR: data.path },
    });
    writeFileSync(join(folder, 'token'), token);
    await say(program('shop.mjs', shop), /ok: true,\s+seq: 4,/);
  } finally {
    server.kill('SIGTERM');
    server.kill('SIGTERM');
    await server.exit();
    data.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}, 200_000);
