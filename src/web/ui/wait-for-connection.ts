/** Waiting for the connection, as long as anybody still wants what comes after it. */
import { ParleyError } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';

/** As long as a command of the SDK waits. */
const withinMs = 15_000;

/** Resolves when there is a connection. Rejects when the wish was taken back first, or when the connection takes too long. */
export function waitForConnection({ state }: Client, takenBack: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (finish: () => void): void => {
      clearTimeout(timer);
      stop();
      takenBack.removeEventListener('abort', abort);
      finish();
    };
    const late = (): void => reject(new ParleyError('unavailable', 'There is no connection to the server.'));
    const abort = (): void => end(() => reject(new ParleyError('unavailable', 'Taken back before it began.')));
    const check = (): void => {
      const { status } = state.value;
      // A closed client says itself what is wrong.
      if (status === 'connected' || status === 'closed') end(resolve);
    };
    const timer = setTimeout(() => end(late), withinMs);
    const stop = state.subscribe(check);
    takenBack.addEventListener('abort', abort);
    if (takenBack.aborted) abort();
    else check();
  });
}
