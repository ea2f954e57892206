/** The stock Socket.IO client, as a user of Parley would write it, with the types of our protocol. */
import type { Agent } from 'node:http';
import { io, type Socket } from 'socket.io-client';
import type { CommandInput, CommandName, CommandOutput } from '../../src/protocol/commands.ts';
import type { WireError } from '../../src/protocol/errors.ts';
import type { EventData, EventName } from '../../src/protocol/events.ts';
import { until } from './until.ts';

export interface ConnectError {
  readonly message: string;
  readonly data?: WireError;
}

export interface StockClient {
  readonly socket: Socket;
  /** Everything that came, in order. */
  readonly events: { name: string; data: unknown }[];
  /** The ack of a command; fails unless it is ok. */
  ok<C extends CommandName>(name: C, input: CommandInput<C>): Promise<CommandOutput<C>>;
  /** The error of a command; fails if it is ok. */
  error(name: string, input?: unknown): Promise<WireError>;
  /** Data of all events of the name so far. */
  received<E extends EventName>(name: E): EventData<E>[];
  /** The first event of the name for which the condition holds, come or to come. */
  event<E extends EventName>(name: E, condition?: (data: EventData<E>) => boolean): Promise<EventData<E>>;
  close(): void;
}

export interface StockOptions {
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly reconnection?: boolean;
  /** WebSocket alone by default. */
  readonly transports?: readonly ('polling' | 'websocket')[];
  /** Without it the address of the server ends in `/socket.io`. */
  readonly addTrailingSlash?: boolean;
  /** The parser of packets, in the place of JSON: `socket.io-msgpack-parser`, together with `query: { parser: 'msgpack' }`. */
  readonly parser?: object;
  /** The agent of Node's http: its address, and its trust. */
  readonly agent?: Agent;
}

type Ack = { ok: true } | { ok: false; error: WireError };

/** Connects without waiting. */
export function openStock(url: string, auth: Record<string, unknown>, options: StockOptions = {}): StockClient {
  const socket = io(url, {
    transports: [...(options.transports ?? ['websocket'])],
    ...(options.agent === undefined ? {} : { agent: options.agent as unknown as string }),
    ...(options.parser === undefined ? {} : { parser: options.parser }),
    auth,
    query: options.query ?? {},
    addTrailingSlash: options.addTrailingSlash ?? true,
    extraHeaders: options.headers ?? {},
    reconnection: options.reconnection ?? false,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    forceNew: true,
  });
  const events: { name: string; data: unknown }[] = [];
  socket.onAny((name: string, data: unknown) => events.push({ name, data }));
  const ask = async (name: string, input: unknown): Promise<Ack> =>
    (await socket.timeout(15_000).emitWithAck(name, input)) as Ack;
  const received = <E extends EventName>(name: E): EventData<E>[] =>
    events.filter((event) => event.name === name).map((event) => event.data as EventData<E>);
  return {
    socket,
    events,
    async ok<C extends CommandName>(name: C, input: CommandInput<C>): Promise<CommandOutput<C>> {
      const ack = await ask(name, input);
      if (!ack.ok) throw new Error(`${name}: ${ack.error.code}: ${ack.error.message}`);
      const { ok: _, ...output } = ack;
      return output as CommandOutput<C>;
    },
    async error(name, input) {
      const ack = await ask(name, input);
      if (ack.ok) throw new Error(`${name} is ok: ${JSON.stringify(ack)}`);
      return ack.error;
    },
    received,
    event: (name, condition = () => true) => until(`${name} comes`, () => received(name).find(condition)),
    close: () => socket.disconnect(),
  };
}

/** A client that has had `ready`. */
export async function connectStock(url: string, token: string, options: StockOptions = {}): Promise<StockClient> {
  const client = openStock(url, { token }, options);
  let failed: Error | undefined;
  client.socket.on('connect_error', (error) => {
    failed = error;
  });
  await until('ready comes', () => {
    if (failed !== undefined && options.reconnection !== true) throw failed;
    return client.received('ready')[0];
  });
  return client;
}

/** The error of a refused CONNECT. */
export async function connectError(
  url: string,
  auth: Record<string, unknown>,
  options: StockOptions = {},
): Promise<ConnectError> {
  const client = openStock(url, auth, options);
  try {
    return await new Promise<ConnectError>((resolve, reject) => {
      client.socket.once('connect_error', resolve);
      client.socket.once('connect', () => reject(new Error('CONNECT was accepted')));
    });
  } finally {
    client.close();
  }
}

/** Ack and event in one: `{room, id, body}` with an id of its own. */
export function text(room: string, body: unknown): { room: string; id: string; body: unknown } {
  return { room, id: crypto.randomUUID(), body };
}
