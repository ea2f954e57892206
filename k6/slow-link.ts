/**
 * node --import tsx k6/slow-link.ts http://localhost:3000 [PORT [STALL_MS [CYCLE_MS]]]
 * A slow wire for `slow`. The wire passes TCP on, but reads nothing from the server for STALL_MS of every CYCLE_MS. The bytes
 * of a client pass at any time.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface SlowLink {
  readonly url: string;
  close(): Promise<void>;
}

export async function startSlowLink(
  target: string,
  { stallMs, cycleMs, port = 0 }: { stallMs: number; cycleMs: number; port?: number },
): Promise<SlowLink> {
  const { hostname, port: farPort } = new URL(target);
  const sockets = new Set<Socket>();
  const listener = createServer((near) => {
    const far = connect(Number(farPort || 80), hostname);
    let reading = true;
    const opened = Date.now();
    near.pipe(far);
    far.pipe(near);
    // the cycle begins with an open wire, so that all users can connect
    const timer = setInterval(() => {
      const stalled = (Date.now() - opened) % cycleMs >= cycleMs - stallMs;
      if (stalled !== reading) return;
      reading = !stalled;
      if (stalled) far.unpipe(near).pause();
      else far.pipe(near);
    }, 100);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay();
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        clearInterval(timer);
        sockets.delete(socket);
        other.destroy();
      });
    }
  }).listen(port, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const [target = 'http://localhost:3000', port = '3001', stallMs = '25000', cycleMs = '40000'] = process.argv.slice(2);
  const link = await startSlowLink(target, { stallMs: Number(stallMs), cycleMs: Number(cycleMs), port: Number(port) });
  console.log(`The slow link ${link.url} leads to ${target}.`);
}
