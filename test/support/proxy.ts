import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { Transform } from 'node:stream';

export interface Proxy {
  /** The target's URL with this proxy's address. */
  readonly url: string;
  /** Resets every connection and refuses new ones, as a server that went down. */
  cut(): void;
  /** Ends every connection with a FIN; new ones are accepted. */
  finish(): void;
  /** Passes half of the next answer of the server on each open connection, then resets the connection. */
  tear(): void;
  /** Lets nothing through any more, without an error: a network that drops packets. */
  swallow(): void;
  /** Holds back what passes, each read of either side by so many milliseconds; the order stays. */
  slow(ms: () => number): void;
  /** Ends `cut`, `swallow` and `slow`; connections whose bytes were swallowed are reset. */
  restore(): void;
  /** New connections go there: the server was started again, at another address. */
  retarget(url: string): void;
  close(): Promise<void>;
}

const atOnce = (): number => 0;

/** Stands between a server and its database or Redis, so that it can be unavailable to one server alone. */
export async function startProxy(target: string): Promise<Proxy> {
  let { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  /** The sides of the clients. */
  const nears = new Set<Socket>();
  let unavailable = false;
  let swallowing = false;
  let heldMs: () => number = atOnce;
  const torn = new Set<Socket>();
  const listener = createServer((near) => {
    if (unavailable) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(port || 5432), hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      if (socket === near) nears.add(near);
      socket.setNoDelay();
      const lane = new Transform({
        transform(chunk: Buffer, _, done) {
          if (socket === far && torn.delete(near)) {
            near.write(chunk.subarray(0, chunk.length >> 1), () => near.resetAndDestroy());
            done();
            return;
          }
          const ms = heldMs();
          if (ms === 0) done(null, chunk);
          else setTimeout(done, ms, null, chunk);
        },
      });
      lane.pipe(other);
      if (!swallowing) socket.pipe(lane);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        nears.delete(near);
        torn.delete(near);
        other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((listener.address() as AddressInfo).port);
  const cut = () => {
    unavailable = true;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: url.href,
    cut,
    finish: () => {
      for (const near of nears) near.end();
    },
    tear: () => {
      for (const near of nears) torn.add(near);
    },
    swallow: () => {
      swallowing = true;
      for (const socket of sockets) socket.unpipe();
    },
    slow: (ms) => {
      heldMs = ms;
    },
    restore: () => {
      heldMs = atOnce;
      if (swallowing) for (const socket of sockets) socket.resetAndDestroy();
      unavailable = swallowing = false;
    },
    retarget: (to) => {
      ({ hostname, port } = new URL(to));
    },
    async close() {
      cut();
      listener.close();
      await once(listener, 'close');
    },
  };
}
