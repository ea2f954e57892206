import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';

const stepMs = 50;

/**
 * Closes every connection, spread evenly over the window. Each connection gets `drain {after}` with its own moment and is
 * closed then, at the transport: a DISCONNECT packet would stop stock clients from reconnecting. Other nodes get the
 * clients at a steady rate.
 */
export async function drain(connections: Iterable<Connection>, windowMs: number): Promise<void> {
  const leaving = [...connections];
  for (let i = leaving.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [leaving[i], leaving[j]] = [leaving[j] as Connection, leaving[i] as Connection];
  }
  leaving.forEach((connection, i) => {
    const after = Math.floor((windowMs * (i + 1)) / leaving.length);
    if (connection.state === 'ready')
      connection.sendFrames(encodeEvent(connection.form, 'drain', JSON.stringify({ after })));
  });
  const from = performance.now();
  for (let closed = 0; closed < leaving.length;) {
    const due = windowMs === 0 ? leaving.length : ((performance.now() - from) / windowMs) * leaving.length;
    while (closed < leaving.length && closed + 1 <= due) leaving[closed++]?.close('draining', 'draining');
    if (leaving.slice(closed).every((connection) => !connection.live)) return;
    if (closed < leaving.length) await delay(stepMs);
  }
}
