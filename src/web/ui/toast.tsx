/** A short message on the last action, visible for a few seconds. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from './icons.tsx';

const shownMs = 8000;
/** A new object each time: the same text may come again. */
const current = signal<{ readonly text: string } | undefined>(undefined);

export function say(text: string): void {
  current.value = { text };
}

export function Toast(): JSX.Element {
  const said = current.value;
  useEffect(() => {
    if (said === undefined) return undefined;
    const timer = setTimeout(() => (current.value = undefined), shownMs);
    return () => clearTimeout(timer);
  }, [said]);
  return (
    <div class="toast-place" role="status">
      {said !== undefined && (
        <p class="toast">
          <span>{said.text}</span>
          <button class="icon-button tiny" type="button" onClick={() => (current.value = undefined)} aria-label="Hide">
            <Icon name="close" size={16} />
          </button>
        </p>
      )}
    </div>
  );
}
