import { createHash, randomBytes } from 'node:crypto';
import { linkSync, lstatSync, mkdirSync, realpathSync, renameSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { errorCode, StartupError } from '../startup-error.ts';

/**
 * The folder of all data of an embedded Parley. One process at a time may have the folder, because no file inside locks
 * itself. The lock is a listening socket: the kernel closes it at every end of its process.
 */
export interface DataFolder {
  readonly path: string;
  release(): Promise<void>;
}

/** Another process has the folder, which is intact. */
export class DataFolderInUse extends StartupError {}

/** Longest socket path of the kernel: 108 bytes with the final zero on Linux, 104 on macOS. */
const maxSocketPathBytes = 103;

/** Creates the folder if it is missing, and locks the folder. @throws {StartupError} */
export async function openDataFolder(folder: string): Promise<DataFolder> {
  const path = resolve(folder);
  let lock: Lock | undefined;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    lock = process.platform === 'win32' ? await lockPipe(path) : await lockSocket(path);
  } catch (error) {
    throw new StartupError(`The data folder ${path} cannot be written: ${errorCode(error)}`, { cause: error });
  }
  if (lock === undefined) throw new DataFolderInUse(`The data folder ${path} is in use by another Parley process`);
  return { path, release: lock.release };
}

interface Lock {
  readonly release: () => Promise<void>;
}

/** Undefined if another process holds the lock. Pipes vanish with their process, so there are no stale ones. */
async function lockPipe(path: string): Promise<Lock | undefined> {
  try {
    const server = await listen(`\\\\.\\pipe\\parley-${hashOf(path)}`);
    return { release: () => closed(server) };
  } catch (error) {
    if (errorCode(error) === 'EADDRINUSE') return undefined;
    throw error;
  }
}

/**
 * Undefined if another process holds the lock. The socket first listens under a unique name and is then linked to the
 * lock's name. Linking fails if the name is taken. No other process finds a socket that is bound but does not listen yet,
 * which would seem dead.
 */
async function lockSocket(path: string): Promise<Lock | undefined> {
  const own = socketPath(path, `lock.${process.pid}${randomBytes(3).toString('hex')}`);
  const name = socketPath(path, 'lock');
  const server = await listen(own);
  const identity = identityOf(own);
  async function release(): Promise<void> {
    if (identityOf(name) === identity) unlinkSync(name);
    await closed(server);
  }
  for (let cleared = false; ;) {
    try {
      linkSync(own, name);
      unlinkSync(own);
      // A process that clears a dead lock at this moment may have removed this lock too: the socket of that name decides.
      // a pause within the start, which ends by itself
      if (cleared) await new Promise((later) => setTimeout(later, 50));
      if (identityOf(name) === identity) return { release };
      await closed(server);
      return undefined;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') {
        await closed(server);
        throw error;
      }
    }
    const found = identityOf(name);
    if (found === undefined) continue;
    if (await answers(name)) {
      await closed(server);
      return undefined;
    }
    cleared = true;
    removeDead(name, found, `${own}x`);
  }
}

/** Moves the dead socket aside and checks the moved one: if another process was faster, the live socket is put back. */
function removeDead(name: string, dead: string, aside: string): void {
  try {
    renameSync(name, aside);
    if (identityOf(aside) !== dead) linkSync(aside, name);
    unlinkSync(aside);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes(errorCode(error))) throw error;
  }
}

/** The path of a socket of the folder: inside, or in the folder of temporary files if that path is too long for the kernel. */
export function socketPath(folder: string, name: string): string {
  const inside = join(folder, name);
  if (Buffer.byteLength(inside) < maxSocketPathBytes) return inside;
  return join(tmpdir(), `parley-${hashOf(folder)}-${name}`);
}

function hashOf(folder: string): string {
  return createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 16);
}

/** The identity includes the moment of creation, because inode numbers are used again. Undefined: no such file. */
export function identityOf(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}:${stat.mtimeNs}`;
}

function listen(path: string): Promise<Server> {
  return new Promise((done, fail) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', fail);
    // The lock alone keeps no process alive.
    server.listen(path, () => done(server.unref()));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => server.close(() => done()));
}

function answers(path: string): Promise<boolean> {
  return new Promise((done, fail) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', (error) => {
      if (['ECONNREFUSED', 'ENOENT'].includes(errorCode(error))) done(false);
      else fail(error);
    });
  });
}
