import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { useUnsentCount } from './unsent-count.ts';
import { useClient, useNow, useStore } from '../ui/hooks.ts';

/** Shows a lost connection. The banner waits a moment (in CSS), because short interruptions do not matter. */
export function Banner(): JSX.Element {
  const client = useClient();
  const state = useStore(client.state);
  const online = useOnline();
  const waiting = useUnsentCount();
  const trouble = state.status === 'waiting' || (state.status === 'connecting' && state.attempt > 0);
  return (
    <div class="banner-place" role="status">
      {trouble && (
        <div class="banner">
          {online ? (
            <>
              <span>Connection lost. {whatWaits(waiting)} sent when it is back.</span>
              <Countdown until={state.status === 'waiting' ? state.until : undefined} />
              <button class="button small" type="button" onClick={() => client.wake()}>
                Try now
              </button>
            </>
          ) : (
            <span>You are offline. {whatWaits(waiting)} sent when you are back.</span>
          )}
        </div>
      )}
    </div>
  );
}

function whatWaits(count: number): string {
  if (count === 0) return 'Messages you write are';
  return count === 1 ? '1 message waits and is' : `${count} messages wait and are`;
}

function Countdown({ until }: { until: number | undefined }): JSX.Element {
  const now = useNow(250);
  const left = until === undefined ? 0 : Math.ceil((until - now) / 1000);
  // Hidden from screen readers, which would read it each second.
  return (
    <span class="countdown" aria-hidden="true">
      {left > 0 ? `Next try in ${left} s` : 'Connecting…'}
    </span>
  );
}

function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const update = (): void => setOnline(navigator.onLine);
    addEventListener('online', update);
    addEventListener('offline', update);
    return () => {
      removeEventListener('online', update);
      removeEventListener('offline', update);
    };
  }, []);
  return online;
}
