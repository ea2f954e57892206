import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findBinaries } from '../test/support/binaries.ts';
import { freePort, type Lab } from './lab.ts';

/** A separate Redis, because the bench measures its processor time. @throws if none is installed. */
export async function startRedis(lab: Lab): Promise<{ url: string; pid: number }> {
  const [folder] = findBinaries('redis-server');
  if (folder === undefined) throw new Error('redis-server is needed (Debian: apt-get install redis-server)');
  const port = await freePort();
  const settings = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'];
  const child = lab.start(join(folder, 'redis-server'), [...settings, '--dir', lab.folder]);
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { maxRetriesPerRequest: null });
  client.on('error', () => {});
  const answered = await Promise.race([client.ping(), sleep(10_000, undefined, { ref: false })]);
  client.disconnect();
  if (answered === undefined) throw new Error('Redis did not answer within 10 s');
  return { url, pid: child.pid };
}
