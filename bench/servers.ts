/** Starts the compared servers, each in a separate process, and waits until they accept connections. */
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { peerPath, type PeerProcess } from './client.ts';
import { freePort, type Child, type Lab } from './lab.ts';

const secret = 'a-secret-of-the-benchmark-at-least-32-bytes-long';

export interface Server {
  readonly port: number;
  readonly child: Child;
}

export async function startPeer(lab: Lab, name: PeerProcess, ...args: readonly string[]): Promise<Server> {
  const port = await freePort();
  const child = lab.start(process.execPath, [peerPath(name), String(port), ...args]);
  await child.line(10_000);
  return { port, child };
}

/** The build of Parley, and its options. */
export interface ParleyBuild {
  readonly main: string;
  readonly nodeFlags: readonly string[];
  /** Settings that this build does not know. */
  readonly lacks?: readonly string[];
}

/** No limits for one address, because it has all connections here. The limits of the server itself stay. */
export const liftedLimits: Readonly<Record<string, string>> = {
  PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '50000',
  PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '1000000',
  PARLEY_CONNECTS_PER_MINUTE_PER_USER: '1000000',
  PARLEY_COMMANDS_PER_SECOND_PER_ADDRESS: '1000000',
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMAND_BURST: '1000000',
  PARLEY_SIGNALS_PER_SECOND: '1000000',
  PARLEY_SIGNAL_BURST: '1000000',
  PARLEY_READS_AT_ONCE_PER_USER: '1000',
  PARLEY_MAX_UNSENT_BYTES_PER_USER: '8g',
  PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS: '16g',
};

/** @param databaseUrl a real Postgres; without it Parley runs its embedded one in a fresh folder. */
export async function startParley(
  lab: Lab,
  build: ParleyBuild,
  databaseUrl: string | undefined,
  more: Readonly<Record<string, string>> = {},
  at?: number,
): Promise<Server> {
  const port = at ?? (await freePort());
  const child = lab.start(process.execPath, [...build.nodeFlags, build.main, 'serve'], {
    env: knownTo(build, {
      PORT: String(port),
      PARLEY_HOST: '127.0.0.1',
      PARLEY_JWT_SECRET: secret,
      ...liftedLimits,
      PARLEY_LOG_LEVEL: 'error',
      ...(databaseUrl === undefined
        ? { PARLEY_DATA_DIR: join(lab.folder, `data-${port}`) }
        : { DATABASE_URL: databaseUrl }),
      ...more,
    }),
    cwd: lab.folder,
  });
  // The first start of the embedded database takes seconds. A server that ends early prints the reason.
  const ended = child.line(45_000).then(
    () => undefined,
    (error: unknown) => (/ended/.test(String(error)) ? error : undefined),
  );
  for (const until = Date.now() + 45_000; Date.now() < until;) {
    const failed = await Promise.race([ended, sleep(100)]);
    if (failed instanceof Error) throw failed;
    if (await isReady(port)) return { port, child };
    await sleep(50);
  }
  throw new Error('Parley was not ready within 45 s');
}

function knownTo(build: ParleyBuild, env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => build.lacks?.includes(name) !== true));
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

let tokens = 0;

/** A token as a back end of the operator makes it. No two tokens are the same, so none is in a server's cache. */
export function token(user: string): string {
  const head = part({ alg: 'HS256', typ: 'JWT' });
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const claims = part({ sub: user, name: `Name of ${user}`, exp, nr: ++tokens });
  return `${head}.${claims}.${createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url')}`;
}

/** The connection of one user, which prepares rooms in the embedded database, where SQL has no access. */
export async function asUser(port: number, user: string, commands: readonly [string, unknown][]): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  try {
    await new Promise<void>((resolve, reject) => {
      let next = 0;
      const timer = setTimeout(() => reject(new Error(`preparing ${user} took over 10 s`)), 10_000);
      const step = (): void => {
        const command = commands[next++];
        if (command !== undefined) return socket.send(`42${next}${JSON.stringify(command)}`);
        clearTimeout(timer);
        resolve();
      };
      socket.on('error', reject).on('close', () => reject(new Error(`${user} was disconnected`)));
      socket.on('message', (data: Buffer) => {
        const packet = data.toString();
        if (packet.startsWith('0')) socket.send(`40${JSON.stringify({ token: token(user) })}`);
        else if (packet.startsWith('42["ready"')) step();
        else if (packet === '2') socket.send('3');
        else if (packet.startsWith('44') || (packet.startsWith('43') && packet.includes('"ok":false')))
          reject(new Error(packet));
        else if (packet.startsWith('43')) step();
      });
    });
  } finally {
    socket.removeAllListeners('close');
    socket.close();
  }
}
