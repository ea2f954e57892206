import { WebSocket } from 'ws';
import type { Socket, SocketConstructor } from '../../src/client/index.ts';

export interface Tearable {
  readonly Constructor: SocketConstructor;
  readonly tear: () => void;
  /** Sockets made so far. */
  readonly count: () => number;
}

/** Sockets that can be torn, as a network does it. */
export function tearable(): Tearable {
  let count = 0;
  const open = new Set<WebSocket>();
  class Torn extends WebSocket implements Socket {
    constructor(url: string) {
      super(url);
      count += 1;
      open.add(this);
      this.on('close', () => open.delete(this));
    }
  }
  return { Constructor: Torn, tear: () => open.forEach((socket) => socket.terminate()), count: () => count };
}
