/** The README's example with a stock client, as it stands there, against a server as `npm start` starts it. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/processes.ts';
import { makeDataDir, spawnServer } from '../support/spawn.ts';
import { until } from '../support/until.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs until it has said what is looked for: the example keeps its connection and does not end by itself. */
async function say(file: string, looked: RegExp): Promise<string> {
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  try {
    return await until(
      () => `${String(looked)} is printed, and not:\n${said}`,
      () => looked.exec(said)?.[0],
      60_000,
    );
  } finally {
    child.kill('SIGKILL');
  }
}

// A second run used to end with not_member: room:create answered conflict, and nobody had joined.
it('sends, also when it is run a second time', async () => {
  const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```js\n([\s\S]*?)^```/gm)];
  const [, code = ''] = blocks.find(([block]) => block.includes("from 'socket.io-client'")) ?? [];
  const data = makeDataDir();
  const folder = temporaryFolder('parley-readme-');
  const server = await spawnServer({ PARLEY_DATA_DIR: data.path });
  try {
    expect(code).toContain('http://localhost:3000');
    writeFileSync(join(folder, 'example.mjs'), code.replaceAll('http://localhost:3000', server.url));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const seq of [1, 2]) await say(join(folder, 'example.mjs'), new RegExp(`ok: true,\\s+seq: ${seq},`));
  } finally {
    server.kill('SIGTERM');
    server.kill('SIGTERM');
    await server.exit();
    data.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}, 200_000);
