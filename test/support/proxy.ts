import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';

export interface Proxy {
  /** The target's URL with this proxy's address. */
  readonly url: string;
  /** Resets every connection and refuses new ones, as a server that went down. */
  cut(): void;
  /** Lets nothing through any more, and tells nobody: a network that drops packets. */
  swallow(): void;
  /** Ends `cut` and `swallow`; connections whose bytes were swallowed are reset. */
  restore(): void;
  /** New connections go there: the server was started again, at another address. */
  retarget(url: string): void;
  close(): Promise<void>;
}

/** Stands between a server and its database or Redis, so that it can be away without being stopped for others. */
export async function startProxy(target: string): Promise<Proxy> {
  let { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let away = false;
  let swallowing = false;
  const listener = createServer((near) => {
    if (away) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(port || 5432), hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay();
      if (!swallowing) socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((listener.address() as AddressInfo).port);
  const cut = () => {
    away = true;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: url.href,
    cut,
    swallow: () => {
      swallowing = true;
      for (const socket of sockets) socket.unpipe();
    },
    restore: () => {
      if (swallowing) for (const socket of sockets) socket.resetAndDestroy();
      away = swallowing = false;
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
