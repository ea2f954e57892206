/**
 * A server between k6 and Parley that breaks promises. The link drops one message event in so many, doubles it, swaps it with
 * the next, or hides it from `sync`. Everything else passes. With `drop the very last`, the sends of one connection are late.
 * Its last sends wait for the end of all others, and reach no client.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, request } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

export type Fault = 'none' | 'drop' | 'double' | 'swap' | 'forget' | 'drop last' | 'drop the very last';

export interface FaultyLink {
  readonly url: string;
  /** How often the fault was done. */
  faults(): number;
  close(): Promise<void>;
}

const oneIn = 40;
/**
 * By how much the sends of the late connection are late. After so many sends of others, they wait for a silence. The others
 * send about 200 times, and a busy machine may skip most of them.
 */
const lateMs = 500;
const before = { sends: 30, silenceMs: 500 };
/** A message is swapped with one that comes within that time. The time is long enough for a busy machine. */
const longestHoldMs = 3000;
/** The messages that `forget` keeps from every client. */
const victim = (seq: number): boolean => seq % oneIn === 7;

export async function startFaultyLink(target: string, fault: Fault): Promise<FaultyLink> {
  let seen = 0;
  let faults = 0;
  let late: WebSocket | undefined;
  const others = { sends: 0, at: 0 };
  const last = new Set<string>();
  const waiting: { readonly frame: string; readonly send: (frame: string) => void }[] = [];
  /** Sends what waits, in its order, when no other connection has sent for the silence. */
  const sendLast = (): void => {
    const ms = others.at + before.silenceMs - Date.now();
    if (ms > 0) {
      setTimeout(sendLast, ms);
      return;
    }
    for (const { frame, send } of waiting.splice(0)) {
      last.add(idIn(frame));
      send(frame);
    }
  };
  // `drop last`: no event follows that would show the gap, so only the head at the end shows it
  const server = createServer((req, res) => {
    const far = request(new URL(req.url ?? '/', target), { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    far.on('error', () => res.writeHead(502).end());
    req.pipe(far);
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (near, req) => {
    const far = new WebSocket(new URL(req.url ?? '/', target.replace('http', 'ws')));
    const early: string[] = [];
    let held: { readonly frame: string; readonly timer: NodeJS.Timeout } | undefined;
    const pass = (frame: string): void => {
      if (near.readyState === WebSocket.OPEN) near.send(frame);
    };
    const send = (frame: string): void => {
      if (far.readyState === WebSocket.OPEN) far.send(frame);
      else if (far.readyState === WebSocket.CONNECTING) early.push(frame);
    };
    /** Nothing was swapped: the held message passes alone. */
    const release = (): void => {
      if (held === undefined) return;
      clearTimeout(held.timer);
      faults -= 1;
      pass(held.frame);
      held = undefined;
    };
    near.on('message', (data: Buffer) => {
      const frame = data.toString();
      const isSend = frame.includes('["message:send",');
      // a pull returns the held message, whose event would come as a second one
      if (!isSend) release();
      if (fault !== 'drop the very last' || !isSend) return send(frame);
      late ??= near;
      if (near !== late) {
        others.sends += 1;
        others.at = Date.now();
        return send(frame);
      }
      setTimeout(() => {
        if (others.sends < before.sends) return send(frame);
        if (waiting.push({ frame, send }) === 1) sendLast();
      }, lateMs);
    });
    far.on('open', () => early.forEach((frame) => far.send(frame)));
    far.on('message', (data: Buffer) => {
      const frame = data.toString();
      const isMessage = frame.startsWith('42["message",');
      if (fault === 'forget') return pass(forgetful(frame, isMessage));
      if (!isMessage) return pass(frame);
      if (fault === 'drop the very last') {
        if (!last.has(idIn(frame))) return pass(frame);
        faults += 1;
        return;
      }
      if (fault === 'drop last') {
        const seq = Number(/"seq":(\d+)/.exec(frame)?.[1]);
        if (seq <= 5) return pass(frame);
        faults += 1;
        return;
      }
      if (held !== undefined) {
        const { frame: first, timer } = held;
        clearTimeout(timer);
        held = undefined;
        pass(frame);
        pass(first);
        return;
      }
      seen += 1;
      if (fault === 'none' || seen % oneIn !== 0) return pass(frame);
      faults += 1;
      if (fault === 'swap') {
        held = { frame, timer: setTimeout(release, longestHoldMs) };
      }
      if (fault === 'double') {
        pass(frame);
        pass(frame);
      }
    });
    const end = (): void => {
      clearTimeout(held?.timer);
      near.terminate();
      far.terminate();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  });

  /** Hides messages from live events and from later answers: they are lost for good. */
  function forgetful(frame: string, isMessage: boolean): string {
    if (isMessage && victim(Number(/"seq":(\d+)/.exec(frame)?.[1]))) {
      faults += 1;
      return '6'; // a packet that means nothing
    }
    if (!frame.startsWith('43') || !frame.includes('"messages":')) return frame;
    const at = frame.indexOf('[');
    const [ack] = JSON.parse(frame.slice(at)) as [{ messages?: Row[]; rooms?: Record<string, { messages: Row[] }> }];
    if (ack.messages !== undefined) ack.messages = ack.messages.filter(({ seq }) => !victim(seq));
    for (const room of Object.values(ack.rooms ?? {})) room.messages = room.messages.filter(({ seq }) => !victim(seq));
    return `${frame.slice(0, at)}${JSON.stringify([ack])}`;
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: () => faults,
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The id of the message in a frame. */
const idIn = (frame: string): string => /"id":"([^"]+)"/.exec(frame)?.[1] ?? '';

interface Row {
  readonly seq: number;
}
