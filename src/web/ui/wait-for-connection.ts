/** Waits for the connection on behalf of an action that the user may cancel. */
import { ParleyError } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';

/** The same limit as for a command of the SDK. */
const withinMs = 15_000;

/** Resolves when there is a connection. Rejects when the action was cancelled first, or after the time limit. */
export function waitForConnection({ state }: Client, takenBack: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (finish: () => void): void => {
      clearTimeout(timer);
      stop();
      takenBack.removeEventListener('abort', abort);
      finish();
    };
    const late = (): void => reject(new ParleyError('unavailable', 'There is no connection to the server.'));
    const abort = (): void => end(() => reject(new ParleyError('unavailable', 'The action was cancelled.')));
    const check = (): void => {
      const { status } = state.value;
      // A closed client rejects the command with its own error.
      if (status === 'connected' || status === 'closed') end(resolve);
    };
    const timer = setTimeout(() => end(late), withinMs);
    const stop = state.subscribe(check);
    takenBack.addEventListener('abort', abort);
    if (takenBack.aborted) abort();
    else check();
  });
}
