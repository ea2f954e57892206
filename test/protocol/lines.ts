/** Engine.IO clients that take and give whole packets, over long-polling or a WebSocket, without knowing what is in them. */
import { WebSocket } from 'ws';
import { until } from '../support/until.ts';
import { path, pollingQuery, request } from './http.ts';

export type Frame = string | Buffer;

export interface Line {
  /** The server's answer in the handshake. */
  readonly open: Open;
  /** Frames that came, without pings; those are answered. */
  readonly frames: Frame[];
  /** Resolves when the server has taken them, or for a WebSocket when they are on their way. */
  send(...frames: Frame[]): Promise<void>;
  next(): Promise<Frame>;
  /** Resolves when the server has ended it, with the close reason where there is one. */
  ended(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface Open {
  readonly sid: string;
  readonly upgrades: readonly string[];
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly maxPayload: number;
}

export function payload(...frames: Frame[]): string {
  return frames.map((frame) => (typeof frame === 'string' ? frame : `b${frame.toString('base64')}`)).join('\x1e');
}

export function framesOf(body: string): Frame[] {
  return body.split('\x1e').map((part) => (part.startsWith('b') ? Buffer.from(part.slice(1), 'base64') : part));
}

/** A session whose GETs and POSTs are the test's own. */
export async function openPolling(url: string, query = ''): Promise<Open> {
  const { body } = await request(url, { query: pollingQuery + query });
  return JSON.parse(body.slice(1)) as Open;
}

export async function pollingLine(url: string, query = ''): Promise<Line> {
  const open = await openPolling(url, query);
  const own = `${pollingQuery}&sid=${open.sid}`;
  const inbox = new Inbox();
  let posts: Promise<unknown> = Promise.resolve();
  const post = (frames: Frame[]): Promise<void> => {
    const done = posts.then(() => request(url, { method: 'POST', query: own, body: payload(...frames) }));
    posts = done.catch(() => {});
    return done.then(() => {});
  };
  const poll = async (): Promise<void> => {
    while (!inbox.over) {
      const { status, body } = await request(url, { query: own });
      if (status !== 200) break;
      for (const frame of framesOf(body)) {
        if (frame === '2') await post(['3']);
        else if (frame !== '6') inbox.take(frame);
      }
    }
    inbox.end(undefined);
  };
  const polling = poll().catch(() => inbox.end(undefined));
  return {
    open,
    frames: inbox.frames,
    send: (...frames) => post(frames),
    next: () => inbox.next(),
    ended: () => inbox.ended(),
    async close() {
      if (!inbox.over) await post(['1']);
      await polling;
    },
  };
}

export async function webSocketLine(url: string, query = ''): Promise<Line> {
  const target = new URL(`${path}?EIO=4&transport=websocket${query}`, url.replace('http', 'ws'));
  const ws = new WebSocket(target);
  const inbox = new Inbox();
  ws.on('message', (data: Buffer, isBinary) => {
    const frame = isBinary ? data : data.toString('utf8');
    if (frame === '2') ws.send('3');
    else inbox.take(frame);
  });
  ws.on('error', () => {}); // a close follows
  ws.on('close', (_, reason) => inbox.end(reason.toString('utf8')));
  const first = String(await inbox.next());
  return {
    open: JSON.parse(first.slice(1)) as Open,
    frames: inbox.frames,
    send(...frames) {
      for (const frame of frames) ws.send(frame);
      return Promise.resolve();
    },
    next: () => inbox.next(),
    ended: () => inbox.ended(),
    async close() {
      ws.close();
      await inbox.ended();
    },
  };
}

class Inbox {
  readonly frames: Frame[] = [];
  over = false;
  #reason: string | undefined = undefined;

  take(frame: Frame): void {
    this.frames.push(frame);
  }

  end(reason: string | undefined): void {
    this.over = true;
    this.#reason = reason;
  }

  next(): Promise<Frame> {
    return until('a frame comes', () => {
      const frame = this.frames.shift();
      if (frame === undefined && this.over) throw new Error(`ended (${this.#reason}) before a frame came`);
      return frame;
    });
  }

  async ended(): Promise<string | undefined> {
    await until('the server ends it', () => this.over);
    return this.#reason;
  }
}
