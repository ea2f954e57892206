/** The command `presence:state` from the page: visible and in use, visible and not in use, or hidden. */
import type { Client } from './client.ts';
import { isVisible, listen } from './page.ts';

export interface ActivityOptions {
  /** Without input for so long the page is not in use. Default: a minute. */
  readonly idleMs?: number;
}

export interface Activity {
  /** The room on the screen; undefined: none. A message of this room notifies no device while the page is in use. */
  show(room: string | undefined): void;
  close(): void;
}

const inputs = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'focus'] as const;

/** Reports what the user does with the page, at each change and at each connection. */
export function followActivity(client: Client, { idleMs = 60_000 }: ActivityOptions = {}): Activity {
  let room: string | undefined;
  let usedAt = Date.now();
  let sent = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  const report = (): void => {
    clearTimeout(timer);
    const leftMs = usedAt + idleMs - Date.now();
    const state = !isVisible() ? 'background' : leftMs > 0 ? 'active' : 'idle';
    if (state === 'active') timer = setTimeout(report, leftMs);
    const input = { state, ...(room === undefined ? {} : { room }) } as const;
    const text = JSON.stringify(input);
    if (text === sent || client.state.value.status !== 'connected') return;
    sent = text;
    // a connection that ends is reported again when it is back
    client.call('presence:state', input).catch(() => (sent = ''));
  };
  const used = (): void => {
    const wasIdle = Date.now() - usedAt >= idleMs;
    usedAt = Date.now();
    if (wasIdle) report();
  };
  const changed = (): void => {
    if (isVisible()) usedAt = Date.now();
    report();
  };
  const stops = [
    ...inputs.map((name) => listen('window', name, used)),
    listen('document', 'visibilitychange', changed),
    client.on('ready', () => {
      sent = '';
      report();
    }),
  ];
  report();
  return {
    show(shown) {
      room = shown;
      report();
    },
    close() {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}
