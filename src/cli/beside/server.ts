/**
 * Runs commands of the command line in the process of a running server, with its database (protocol.ts).
 *
 * A connection: *reading* its request, at most 5 s; then *running* the command; then closed. The socket has the mode 0600 in
 * a folder that no other user can write. So each client is the owner of the folder or root. A fault of a client or of a
 * command ends that command alone.
 */
import { chmodSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { inspect } from 'node:util';
import { identityOf } from '../../storage/data-folder.ts';
import { errorCode, StartupError } from '../../startup-error.ts';
import type { Log } from '../../telemetry/log.ts';
import { cliCommands } from '../commands.ts';
import type { CommandContext, Terminal } from '../context.ts';
import { request, type Answer, type Request } from './protocol.ts';
import { readRequestLine, RequestFault } from './request-line.ts';
import { remoteTerminal } from './remote-terminal.ts';

export interface CommandServerOptions {
  /** The path of the socket. */
  readonly path: string;
  readonly context: (terminal: Terminal) => CommandContext;
  readonly log: Log;
  readonly maxConnections?: number;
  readonly requestMs?: number;
  /** A client that does not read its answers for so long is cut off. */
  readonly writeMs?: number;
  /** A stopping server waits so long for running commands. */
  readonly stopMs?: number;
}

const defaults = { maxConnections: 16, requestMs: 5000, writeMs: 5000, stopMs: 5000 };

export class CommandServer {
  readonly #options: CommandServerOptions & typeof defaults;
  readonly #server: Server;
  readonly #identity: string | undefined;
  readonly #open = new Map<Socket, Promise<void>>();
  #closing = false;

  private constructor(options: CommandServerOptions & typeof defaults, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#identity = identityOf(options.path);
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (error) => options.log.warn({ err: error }, failed));
  }

  /** @throws {Error} if the socket cannot be made, or other users could replace it. */
  static async open(given: CommandServerOptions): Promise<CommandServer> {
    const options = { ...defaults, ...given };
    requireOwnFolder(dirname(options.path));
    const server = await listenPrivately(options.path);
    return new CommandServer(options, server);
  }

  /** Running commands have a moment to end. Later ones find no server. */
  async close(): Promise<void> {
    this.#closing = true;
    // a server that started meanwhile has its own socket at this path
    if (this.#identity !== undefined && identityOf(this.#options.path) === this.#identity)
      rmSync(this.#options.path, { force: true });
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => {
      for (const socket of this.#open.keys()) socket.destroy();
    }, this.#options.stopMs);
    await Promise.all(this.#open.values());
    clearTimeout(timer);
    await closed;
  }

  #accept(socket: Socket): void {
    // a client that is gone is seen where its command writes
    socket.on('error', () => {});
    if (this.#closing || this.#open.size >= this.#options.maxConnections) {
      const why = this.#closing ? 'The server stops.' : 'The server runs too many commands at once; try again later.';
      end(socket, { err: why }, { exit: 1 });
      return;
    }
    const running = this.#serve(socket).finally(() => this.#open.delete(socket));
    this.#open.set(socket, running);
  }

  /** Never rejects. */
  async #serve(socket: Socket): Promise<void> {
    try {
      const line = await readRequestLine(socket, this.#options.requestMs);
      const code = await this.#run(parseRequest(line), socket);
      end(socket, { exit: code });
    } catch (error) {
      const isKnown = error instanceof StartupError || error instanceof RequestFault;
      if (!isKnown)
        this.#options.log.warn({ err: error }, 'A command of the command line failed; its client got the error.');
      end(socket, { err: isKnown ? error.message : inspect(error) }, { exit: 1 });
    }
  }

  async #run({ command: name, arguments: args }: Request, socket: Socket): Promise<number> {
    const command = cliCommands.get(name);
    if (command === undefined) throw new RequestFault(`The running server has no command ${JSON.stringify(name)}.`);
    const terminal = remoteTerminal(socket, this.#options.writeMs);
    return (await command.run(args, this.#options.context(terminal))) === false ? 1 : 0;
  }
}

const failed = 'The socket for the command line failed; commands beside this server may find no server.';

function parseRequest(line: string): Request {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new RequestFault('The request is not a line of JSON.');
  }
  const parsed = request.safeParse(json);
  if (!parsed.success) throw new RequestFault('The request needs a command and its arguments.');
  return parsed.data;
}

function end(socket: Socket, ...answers: readonly Answer[]): void {
  socket.end(answers.map((one) => `${JSON.stringify(one)}\n`).join(''), () => socket.destroy());
}

/** Others who may write in the folder could put their own socket in the place of this one, and read the input of commands. */
function requireOwnFolder(folder: string): void {
  const { uid, mode } = statSync(folder);
  const own = process.getuid?.() ?? uid;
  const isSticky = (mode & 0o1000) !== 0;
  if ((mode & 0o022) !== 0 && !isSticky)
    throw new Error(`other users may write in the folder ${folder}; run chmod go-w on it`);
  if (own !== 0 && own !== uid && !isSticky) throw new Error(`the folder ${folder} belongs to another user`);
}

/** The socket takes its name when its mode is set. A socket that a dead process left there is replaced. */
async function listenPrivately(path: string): Promise<Server> {
  const unfinished = `${path}.${process.pid}`;
  rmSync(unfinished, { force: true });
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(unfinished, resolve);
      process.umask(before); // the socket file is made within the call of `listen`
    });
    server.removeAllListeners('error');
    chmodSync(unfinished, 0o600);
    renameSync(unfinished, path);
  } catch (error) {
    server.close();
    rmSync(unfinished, { force: true });
    throw new Error(`the socket ${path} cannot be made: ${errorCode(error)}`, { cause: error });
  } finally {
    process.umask(before);
  }
  return server.unref();
}
