/** A scripted server, for messages that a real one sends once a year. */
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Client, ConnectOptions, Message, RoomSummary, TokenSource } from '../../src/client/index.ts';
import { until } from '../support/until.ts';

type Answer = Record<string, unknown> | undefined;
export type Handlers = Record<string, (input: never, to: Session) => Answer>;

export interface Session {
  readonly token: string;
  event(name: string, data: unknown): void;
  raw(frame: string): void;
  /** Ends the connection without a close frame, like a pulled cable. */
  cut(): void;
}

interface Options {
  pingInterval?: number;
  pingTimeout?: number;
  /** The refusal of a CONNECT. */
  refuse?: (token: string) => object | undefined;
  /** The server does not send `ready`. */
  mute?: boolean;
  expiresIn?: number;
  /** `ready` names the first rooms only: the rest comes by `room:list`. */
  more?: boolean;
}

export class FakeServer {
  readonly sessions: Session[] = [];
  /** Every command, in the order of arrival. */
  readonly commands: { name: string; input: unknown }[] = [];
  rooms: RoomSummary[] = [];
  handlers: Handlers = {};
  readonly options: Options;
  readonly #server: WebSocketServer;
  readonly #clients: Client[] = [];

  private constructor(options: Options) {
    this.options = options;
    this.#server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    this.#server.on('connection', (socket) => this.#greet(socket));
  }

  static async start(options: Options = {}): Promise<FakeServer> {
    const server = new FakeServer(options);
    await new Promise((resolve) => server.#server.once('listening', resolve));
    return server;
  }

  connect(token: TokenSource = 'token', more: Pick<ConnectOptions, 'store' | 'user'> = {}): Client {
    const { port } = this.#server.address() as AddressInfo;
    const client = connect({ url: `http://127.0.0.1:${port}`, token, WebSocket, ...more });
    this.#clients.push(client);
    return client;
  }

  /** The nth session, once it is there. */
  session(nth: number): Promise<Session> {
    return until(`session ${nth} is there`, () => this.sessions[nth]);
  }

  inputs(name: string): unknown[] {
    return this.commands.filter((command) => command.name === name).map(({ input }) => input);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #greet(socket: WebSocket): void {
    const { pingInterval = 25_000, pingTimeout = 20_000 } = this.options;
    socket.send(`0${JSON.stringify({ sid: 's', upgrades: [], pingInterval, pingTimeout, maxPayload: 100_000 })}`);
    let session: Session | undefined;
    socket.on('message', (data: Buffer) => {
      const frame = data.toString();
      if (frame.startsWith('40')) session = this.#admit(socket, frame);
      else if (frame.startsWith('42') && session !== undefined) this.#command(socket, session, frame);
    });
  }

  #admit(socket: WebSocket, frame: string): Session | undefined {
    const { token } = JSON.parse(frame.slice(2)) as { token: string };
    const refusal = this.options.refuse?.(token);
    if (refusal !== undefined) {
      socket.send(`44${JSON.stringify({ message: 'No.', data: refusal })}`);
      return undefined;
    }
    const session: Session = {
      token,
      event: (name, data) => socket.send(`42${JSON.stringify([name, data])}`),
      raw: (text) => socket.send(text),
      cut: () => socket.terminate(),
    };
    socket.send('40{"sid":"x"}');
    const user = { id: 'me', name: 'Me' };
    const expires = Date.now() + (this.options.expiresIn ?? 3_600_000);
    if (this.options.mute !== true) {
      const { more = false } = this.options;
      session.event('ready', { user, session: 'x', node: 'n', expires, rooms: this.rooms, more });
    }
    this.sessions.push(session);
    return session;
  }

  #command(socket: WebSocket, session: Session, frame: string): void {
    const start = frame.indexOf('[');
    const [name, input] = JSON.parse(frame.slice(start)) as [string, never];
    this.commands.push({ name, input });
    const answer = this.handlers[name]?.(input, session);
    if (answer !== undefined) socket.send(`43${frame.slice(2, start)}${JSON.stringify([{ ok: true, ...answer }])}`);
  }
}

export function summary(id: string, seq: number, rev = seq, read = seq): RoomSummary {
  return { id, kind: 'channel', name: id, role: 'member', seq, rev, read };
}

export function messageOf(room: string, seq: number, rev = seq, id = seq): Message {
  const uuid = `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`;
  return { room, seq, rev, id: uuid, from: 'other', name: 'Other', body: `rev ${rev}`, at: seq };
}

export function failure(code: string, more: object = {}): Answer {
  return { ok: false, error: { code, message: code, retryable: true, ...more } };
}
