/** The neighbour of an attacked server, in a process of its own: sends twenty times a second until its parent ends. */
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';

export interface Fared {
  readonly sent: number;
  /** Error codes of sends that did not go well, and how often. */
  readonly refused: Readonly<Record<string, number>>;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly worstMs: number;
}

const [url, token, room] = process.argv.slice(2);
const socket = io(url, { transports: ['websocket'], auth: { token } });
await new Promise<void>((resolve) => socket.once('ready', () => resolve()));

let times: number[] = [];
let refused: Record<string, number> = {};

function report(): Fared {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  const fared = { sent: sorted.length, refused, medianMs: at(0.5), p95Ms: at(0.95), worstMs: at(1) };
  times = [];
  refused = {};
  return fared;
}

/** Whether a report is due that waits for a send to be answered: of no send there is nothing to say. */
let due = false;
process.on('message', () => {
  if (times.length === 0) due = true;
  else process.send?.(report());
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

for (;;) {
  const from = performance.now();
  const message = { room, id: crypto.randomUUID(), body: { text: 'from the neighbour' } };
  const answer = (await socket
    .timeout(20_000)
    .emitWithAck('message:send', message)
    .catch(() => ({ ok: false, error: { code: 'no answer' } }))) as { ok: boolean; error?: { code: string } };
  times.push(performance.now() - from);
  const code = answer.error?.code;
  if (code !== undefined) refused[code] = (refused[code] ?? 0) + 1;
  if (due) process.send?.(report());
  due = false;
  await delay(50);
}
