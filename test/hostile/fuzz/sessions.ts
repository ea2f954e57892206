/** Exchanges over WebSockets: as many hostile packets as survive, each answered, and then one that need not. */
import { unpack } from 'msgpackr';
import { frameOf, textFrame, upgradeRequest } from '../../support/ws-frame.ts';
import type { Exchange } from './exchange.ts';
import { connectMsgpack, msgpackMutant, msgpackSurvivor } from './msgpack.ts';
import { mutant, refusedConnect, survivor, type Survivor } from './packets.ts';
import { Peer } from './peer.ts';
import type { Random } from './random.ts';

interface Socket {
  readonly peer: Peer;
  readonly acks: Map<string, number>;
  readonly seen: { open: boolean; connected: boolean; refusals: number };
}

async function openSocket({ port, address }: Exchange, query = ''): Promise<Socket> {
  const peer = new Peer(port, address);
  const acks = new Map<string, number>();
  const seen = { open: false, connected: false, refusals: 0 };
  const acked = (id: string) => acks.set(id, (acks.get(id) ?? 0) + 1);
  peer.onMessage = (data, isBinary) => {
    if (isBinary) {
      if (query === '') return; // an attachment
      const { type, id } = unpack(data) as { type: number; id?: number };
      if (type === 0) seen.connected = true;
      if (type === 3) acked(String(id));
      return;
    }
    const kind = data.subarray(0, 2).toString('latin1');
    if (kind === '2') peer.write(textFrame('3'));
    else if (kind === '0{') seen.open = true;
    else if (kind === '40') seen.connected = true;
    else if (kind === '44') seen.refusals++;
    else if (kind === '43') acked(data.subarray(2, data.indexOf('[')).toString('latin1'));
  };
  peer.write(upgradeRequest(`/socket.io/?EIO=4&transport=websocket${query}`));
  if (!(await peer.until('the WebSocket is open', () => seen.open))) throw new Error(`no handshake: ${peer.ended}`);
  return { peer, acks, seen };
}

async function openConnected(exchange: Exchange, msgpack = false): Promise<Socket> {
  const socket = await openSocket(exchange, msgpack ? '&parser=msgpack' : '');
  const token = exchange.token;
  socket.peer.write(msgpack ? connectMsgpack(token) : textFrame(`40${JSON.stringify({ token })}`));
  if (!(await socket.peer.until('CONNECT is answered', () => socket.seen.connected)))
    throw new Error(`closed at CONNECT: ${socket.peer.ended}`);
  return socket;
}

/** Every one gets exactly one ack, in whatever order, and the connection stays. */
async function sendSurvivors({ peer, acks }: Socket, survivors: readonly Survivor[]): Promise<void> {
  peer.write(Buffer.concat(survivors.map(({ bytes }) => bytes)));
  const all = await peer.until('every command is acked', () => survivors.every(({ ack }) => acks.has(ack)));
  if (!all) throw new Error(`closed over well-formed packets, ${peer.ended}; ${peer.sent()}`);
  if ([...acks.values()].some((times) => times > 1)) throw new Error(`acked twice; ${peer.sent()}`);
}

/** Sends what may be fatal, then a question: the server must answer it or close. */
async function sendMutant({ peer, acks }: Socket, bytes: Buffer, question: Survivor): Promise<string> {
  peer.write(bytes);
  peer.write(question.bytes);
  return (await peer.until('it answers or closes', () => acks.has(question.ack))) ? 'stays' : (peer.ended ?? 'gone');
}

async function leave(r: Random, peer: Peer): Promise<void> {
  switch (r.int(5)) {
    case 0:
      return peer.reset();
    case 1:
      peer.write(frameOf(0x88, Buffer.from([0x03, 0xe8])));
      break;
    case 2:
      peer.write(textFrame('1'));
      break;
    case 3: // a close frame with an impossible code, half a code, or no UTF-8
      peer.write(frameOf(0x88, r.pick([Buffer.from([0, 1]), Buffer.from([3]), Buffer.from([3, 232, 255, 254])])));
      break;
  }
  await peer.finish();
}

const batch = (r: Random) => 8 + r.int(56);

export async function textSession(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const socket = await openConnected(exchange);
  const count = batch(r);
  await sendSurvivors(
    socket,
    Array.from({ length: count }, (_, n) => survivor(r, n)),
  );
  const question = { ack: '98765', bytes: textFrame('4298765["room:none",{}]') };
  tally('text packet, answered', count);
  tally(`text packet, mutated: ${await sendMutant(socket, mutant(r), question)}`);
  await leave(r, socket.peer);
}

export async function msgpackSession(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const socket = await openConnected(exchange, true);
  const count = batch(r);
  await sendSurvivors(
    socket,
    Array.from({ length: count }, (_, n) => msgpackSurvivor(r, n)),
  );
  tally('msgpack packet, answered', count);
  tally(`msgpack packet, mutated: ${await sendMutant(socket, msgpackMutant(r), msgpackSurvivor(r, 5000))}`);
  await leave(r, socket.peer);
}

/** Never gets past CONNECT. */
export async function strangerSession(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const socket = await openSocket(exchange);
  const { peer, seen } = socket;
  const count = batch(r);
  peer.write(Buffer.concat(Array.from({ length: count }, () => refusedConnect(r))));
  if (!(await peer.until('every CONNECT is refused', () => seen.refusals === count)))
    throw new Error(`closed over refused CONNECTs, ${peer.ended}; ${peer.sent()}`);
  tally('CONNECT, refused', count);
  const question = { ack: 'none', bytes: textFrame('4298765["room:none",{}]') };
  tally(`before CONNECT, mutated: ${await sendMutant(socket, mutant(r), question)}`);
  await leave(r, peer);
}

/** A command in fragments, with pings and pongs between them. */
function fragmented(r: Random, { ack, bytes: frame }: Survivor): Survivor {
  const short = (frame[1] ?? 0) & 127;
  const at = (short === 126 ? 4 : 2) + 4;
  // longer ones, and those with attachments, go as they are
  if (short === 127 || frame.length !== at + (short === 126 ? frame.readUInt16BE(2) : short))
    return { ack, bytes: frame };
  const payload = frame.subarray(at);
  const parts: Buffer[] = [];
  for (let from = 0, first = true; first || from < payload.length; first = false) {
    const to = Math.min(payload.length, from + r.int(30));
    parts.push(frameOf((first ? 1 : 0) | (to === payload.length ? 0x80 : 0), payload.subarray(from, to)));
    if (to < payload.length && r.chance(0.3)) parts.push(frameOf(0x80 | r.pick([9, 10]), r.bytes(r.int(126))));
    from = to;
    if (to === payload.length) break;
  }
  return { ack, bytes: Buffer.concat(parts) };
}

function brokenFrame(r: Random): Buffer {
  const hello = Buffer.from('42["x"]');
  const wrong = [Buffer.from([0x34, 0xc3, 0x28]), Buffer.from([0x34, 0xed, 0xa0, 0x80]), Buffer.from([0xf5, 0x80])];
  switch (r.int(12)) {
    case 0:
      return Buffer.concat([Buffer.from([0x81, hello.length]), hello]); // unmasked
    case 1:
      return frameOf(0x80 | r.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), hello);
    case 2:
      return frameOf(0x81 | r.pick([0x10, 0x20, 0x40, 0x70]), hello);
    case 3:
      return frameOf(0x80 | r.pick([8, 9, 10]), r.bytes(126 + r.int(500)));
    case 4:
      return frameOf(r.pick([8, 9, 10]), hello); // control frames in fragments
    case 5:
      return frameOf(0x81, r.pick(wrong));
    case 6:
      return frameOf(r.pick([0x81, 0x82, 1, 0]), Buffer.alloc(65_537 + r.int(9), 0x34));
    case 7:
      return Buffer.concat([Buffer.from([0x81, 0xff]), Buffer.alloc(8, r.pick([0xff, 0x7f, 0x01])), Buffer.alloc(4)]);
    case 8:
      return Buffer.concat([frameOf(1, hello), frameOf(0x81, hello)]); // a new message within one
    case 9:
      return frameOf(0x80, hello); // a continuation of nothing
    case 10:
      return Buffer.concat(Array.from({ length: 500 }, () => frameOf(0x89, r.bytes(r.int(20))))); // a flood of pings
    default:
      return r.bytes(r.int(300));
  }
}

export async function rawSession(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const socket = await openConnected(exchange);
  const count = batch(r) >> 1;
  await sendSurvivors(
    socket,
    Array.from({ length: count }, (_, n) => fragmented(r, survivor(r, n))),
  );
  tally('frames, fragmented', count);
  const bytes = brokenFrame(r);
  const cut = r.int(bytes.length + 1);
  socket.peer.write(bytes.subarray(0, cut));
  if (r.chance(0.5)) await new Promise(setImmediate);
  socket.peer.write(bytes.subarray(cut));
  // whatever it made of it: when the client has gone, the server lets go
  await socket.peer.finish();
  tally(`frames, broken: ${socket.peer.ended ?? ''}`);
}

/** Gone at some stage of its life, without a word. */
export async function resetSession(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const stage = r.int(6);
  if (stage < 3) {
    const peer = new Peer(exchange.port, exchange.address);
    const handshake = upgradeRequest('/socket.io/?EIO=4&transport=websocket');
    if (stage > 0) peer.write(handshake.slice(0, stage === 1 ? r.int(handshake.length) : handshake.length));
    if (stage !== 0) await peer.connected();
    peer.reset();
  } else {
    const { peer } = await openSocket(exchange);
    const join = textFrame(`40${JSON.stringify({ token: exchange.token })}`);
    peer.write(stage === 3 ? join.subarray(0, r.int(join.length)) : join);
    if (stage === 5) peer.write(survivor(r, 1).bytes);
    await new Promise<void>((resolve) => setTimeout(resolve, r.int(3)));
    peer.reset();
  }
  tally('connection, reset');
}
