/** Socket.IO clients for tests of the wire: packets in the form that the kind of client writes, over either transport. */
import { Decoder, Encoder } from 'socket.io-msgpack-parser';
import { expect } from 'vitest';
import { pollingLine, webSocketLine, type Frame, type Line } from './lines.ts';

export interface Kind {
  readonly transport: 'polling' | 'websocket';
  readonly form: 'json' | 'msgpack';
}

const transports = ['polling', 'websocket'] as const;
export const textKinds: readonly Kind[] = transports.map((transport) => ({ transport, form: 'json' }));
export const msgpackKinds: readonly Kind[] = transports.map((transport) => ({ transport, form: 'msgpack' }));
export const allKinds: readonly Kind[] = [...textKinds, ...msgpackKinds];

export const type = { connect: 0, disconnect: 1, event: 2, ack: 3, connectError: 4 } as const;

export interface Packet {
  readonly type: number;
  readonly nsp: string;
  readonly data?: unknown;
  readonly id?: number;
}

export interface Peer {
  readonly line: Line;
  send(...packets: Packet[]): Promise<void>;
  next(): Promise<Packet>;
  emit(...args: unknown[]): Promise<void>;
  /** An event with this id. */
  ask(id: number, ...args: unknown[]): Promise<void>;
  close(): Promise<void>;
}

export const event = (args: readonly unknown[], more: Partial<Packet> = {}): Packet => ({
  type: type.event,
  nsp: '/',
  data: args,
  ...more,
});

/** Before CONNECT. */
export async function openPeer(url: string, { transport, form }: Kind): Promise<Peer> {
  const query = form === 'msgpack' ? '&parser=msgpack' : '';
  const line = await (transport === 'polling' ? pollingLine(url, query) : webSocketLine(url, query));
  const codec = form === 'msgpack' ? msgpack : text;
  const send = (...packets: Packet[]): Promise<void> => line.send(...packets.flatMap((packet) => codec.encode(packet)));
  return {
    line,
    send,
    next: () => codec.decode(() => line.next()),
    emit: (...args) => send(event(args)),
    ask: (id, ...args) => send(event(args, { id })),
    close: () => line.close(),
  };
}

/** Past CONNECT, whose answers have been taken. */
export async function connectPeer(url: string, kind: Kind): Promise<Peer> {
  const peer = await openPeer(url, kind);
  await peer.send({ type: type.connect, nsp: '/' });
  const connected = await peer.next();
  if (connected.type !== type.connect) throw new Error(`CONNECT is answered with ${JSON.stringify(connected)}`);
  await peer.next(); // auth
  return peer;
}

interface Codec {
  encode(packet: Packet): Frame[];
  decode(next: () => Promise<Frame>): Promise<Packet>;
}

/** The text form of `socket.io-parser`, written after the protocol's text. */
const text: Codec = {
  encode({ type: kind, nsp, data, id }) {
    const attachments: Buffer[] = [];
    const walk = (value: unknown): unknown => {
      if (Buffer.isBuffer(value)) return { _placeholder: true, num: attachments.push(value) - 1 };
      if (Array.isArray(value)) return value.map(walk);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, walk(child)]));
    };
    const json = data === undefined ? '' : JSON.stringify(walk(data));
    const head = attachments.length === 0 ? String(kind) : `${kind + 3}${attachments.length}-`;
    return [`4${head}${nsp === '/' ? '' : `${nsp},`}${id ?? ''}${json}`, ...attachments];
  },
  async decode(next) {
    const frame = await next();
    const parts = /^4(\d)(?:(\d+)-)?(?:(\/[^,]*),)?(\d*)(.*)$/s.exec(String(frame));
    if (parts === null) throw new Error(`no packet: ${String(frame)}`);
    const [, digit, count = '0', nsp = '/', id = '', json = ''] = parts;
    const buffers: Buffer[] = [];
    for (let left = Number(count); left > 0; left--) buffers.push((await next()) as Buffer);
    const data: unknown = json === '' ? undefined : JSON.parse(json, (_, value: unknown) => placed(value, buffers));
    const kind = Number(digit);
    return {
      type: kind > 4 ? kind - 3 : kind,
      nsp,
      ...(data === undefined ? {} : { data }),
      ...(id === '' ? {} : { id: Number(id) }),
    };
  },
};

function placed(value: unknown, buffers: readonly Buffer[]): unknown {
  if (typeof value !== 'object' || value === null || !('_placeholder' in value) || !('num' in value)) return value;
  return buffers[Number(value.num)];
}

const msgpack: Codec = {
  // its types speak of an ArrayBuffer
  encode: (packet) => new Encoder().encode(packet) as unknown as Buffer[],
  async decode(next) {
    const frame = await next();
    if (!Buffer.isBuffer(frame)) throw new Error(`text for a client of msgpack: ${frame}`);
    const decoder = new Decoder();
    let packet: Packet | undefined;
    decoder.on('decoded', (value: Packet) => {
      packet = value;
    });
    decoder.add(frame);
    if (packet === undefined) throw new Error('no packet');
    return packet;
  },
};

/** The server ends the connection; a WebSocket gets the reason. */
export async function expectEnded({ line }: Peer, { transport }: Kind, reason = 'protocol_error'): Promise<void> {
  expect(await line.ended()).toBe(transport === 'websocket' ? reason : undefined);
}

/** The connection is still served. */
export async function expectEcho(peer: Peer, value: unknown = 'still here'): Promise<void> {
  await peer.ask(7919, 'echo', value);
  expect(await peer.next()).toEqual({ type: type.ack, nsp: '/', id: 7919, data: [value] });
}
