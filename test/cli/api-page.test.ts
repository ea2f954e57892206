/** The commands of docs/api.md, as printed, against the built server. `npm run build` must have been run. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { entry, makeDataDir, spawnServer } from '../support/spawn.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/api.md', import.meta.url)), 'utf8');
const [start = '', commands = ''] = Array.from(page.matchAll(/```sh\n([\s\S]*?)```/g), ([, block = '']) => block);
const run = promisify(execFile);

it('the five commands store a message and read it', async () => {
  expect([start, commands].join('').trim().split('\n')).toHaveLength(5);
  const secret = await run('sh', ['-c', start.replace('npm start', 'printenv PARLEY_JWT_SECRET')]);
  const data = makeDataDir();
  const server = await spawnServer({ PARLEY_DATA_DIR: data.path, PARLEY_JWT_SECRET: secret.stdout.trim() });
  const script = commands
    .replaceAll('npm run --silent parley --', `"${process.execPath}" "${entry}"`)
    .replaceAll('http://localhost:3000', server.url);
  const env = { PATH: process.env['PATH'], PARLEY_DATA_DIR: data.path };
  const { stdout } = await run('sh', ['-ec', script.replaceAll(/^curl (.*)$/gm, 'curl $1; echo')], { env });
  const [room, sent, read] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(room).toMatchObject({ created: true, room: { id: 'orders', role: 'owner' } });
  expect(sent).toMatchObject({ seq: 1, rev: 1 });
  expect(read).toMatchObject({ items: [{ seq: 1, from: 'shop', body: { text: 'Order 17 is paid' } }], hasMore: false });
  server.kill('SIGTERM');
  expect(await server.exit()).toEqual({ code: 0, signal: null });
  data.remove();
}, 60_000);
