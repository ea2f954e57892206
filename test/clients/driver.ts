/**
 * Stock Socket.IO clients as an application uses them. The driver runs in Node and, bundled, in a page. Its arguments and
 * answers are JSON, in which binary is `{$bytes: [1, 2]}`, so that a test can drive a client in a browser.
 */
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import * as msgpackParser from 'socket.io-msgpack-parser';

export interface StockKind {
  readonly version: 4 | 3;
  /** Which transports the application names; undefined: no option at all. */
  readonly transports: readonly ('polling' | 'websocket')[] | undefined;
  readonly msgpack: boolean;
}

export interface Received {
  readonly name: string;
  readonly data: unknown;
}

interface SocketLike {
  readonly io: { readonly engine: { readonly transport: { readonly name: string } } };
  on(event: string, listener: (...args: never[]) => void): unknown;
  onAny(listener: (name: string, data: unknown) => void): unknown;
  emit(name: string, input: unknown, ack: (answer: unknown) => void): unknown;
  disconnect(): unknown;
}

class StockClient {
  readonly socket: SocketLike;
  readonly received: Received[] = [];
  refusal: unknown = undefined;
  disconnects = 0;

  constructor(url: string, token: string, { version, transports, msgpack }: StockKind) {
    const options = {
      auth: { token },
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
      ...(transports === undefined ? {} : { transports: [...transports] }),
      ...(msgpack ? { parser: msgpackParser, query: { parser: 'msgpack' } } : {}),
    };
    this.socket = (version === 4 ? io4(url, options) : io3(url, options)) as unknown as SocketLike;
    this.socket.onAny((name, data) => void this.received.push({ name, data: written(data) }));
    this.socket.on('disconnect', () => void this.disconnects++);
    this.socket.on('connect_error', (error: { message: string; data?: unknown }) => {
      this.refusal = { message: error.message, data: error.data };
    });
  }
}

const clients = new Map<number, StockClient>();
let opened = 0;

function clientOf(id: number): StockClient {
  const client = clients.get(id);
  if (client === undefined) throw new Error(`there is no client ${id}`);
  return client;
}

export function open(url: string, token: string, kind: StockKind): number {
  clients.set(++opened, new StockClient(url, token, kind));
  return opened;
}

/** The events from this index on. */
export function received(id: number, from: number): Received[] {
  return clientOf(id).received.slice(from);
}

export function state(id: number): { transport: string; refusal: unknown; disconnects: number } {
  const { socket, refusal, disconnects } = clientOf(id);
  // while it is between two connections there is none
  const engine = socket.io.engine as { transport?: { name: string } } | undefined;
  return { transport: engine?.transport?.name ?? '', refusal: refusal ?? null, disconnects };
}

export function command(id: number, name: string, input: unknown): Promise<unknown> {
  return new Promise((resolve) => {
    clientOf(id).socket.emit(name, revived(input), (answer: unknown) => resolve(written(answer)));
  });
}

export function close(id: number): void {
  clientOf(id).socket.disconnect();
  clients.delete(id);
}

export function written(value: unknown): unknown {
  if (value instanceof ArrayBuffer) return { $bytes: [...new Uint8Array(value)] };
  if (ArrayBuffer.isView(value))
    return { $bytes: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] };
  if (Array.isArray(value)) return value.map(written);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, written(child)]));
}

export function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== 'object' || value === null) return value;
  if ('$bytes' in value) {
    const bytes = Uint8Array.from(value.$bytes as number[]);
    // in a page the msgpack parser takes nothing else for binary
    return 'document' in globalThis ? bytes.buffer : bytes;
  }
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, revived(child)]));
}
