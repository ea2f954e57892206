import { useEffect, useLayoutEffect, useId, useRef, useState } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import { waitForConnection } from './wait-for-connection.ts';
import { giveFocus, holdFocus } from './focus.ts';
import { Icon } from './icons.tsx';
import { useClient } from './hooks.ts';

interface DialogProps {
  title: string;
  /** The class for another size or place. */
  variant?: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** The browser's own modal dialog: the dialog traps the focus, closes on Escape and gives the focus back. */
export function Dialog({ title, variant, onClose, children }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  /**
   * The target of the pointer press. Text may be selected in a field and released outside, which is a click on the
   * backdrop.
   */
  const pressed = useRef<EventTarget | null>(null);
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    // Runs after the removal: a modal dialog keeps the focus from everything behind it.
    const back = (): void => {
      if (document.activeElement === document.body) giveFocus(opener, document.querySelector('.panel.overlay button'));
    };
    return () => queueMicrotask(back);
  }, []);
  return (
    <dialog
      ref={element}
      class={variant === undefined ? 'dialog' : `dialog ${variant}`}
      aria-labelledby={titleId}
      onClose={onClose}
      // The backdrop is part of the element; its content is one level down.
      onPointerDown={(event) => (pressed.current = event.target)}
      onClick={({ target }) => target === element.current && pressed.current === target && onClose()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={titleId}>{title}</h2>
          <button class="icon-button" type="button" onClick={onClose} aria-label="Close">
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export interface Action {
  readonly busy: boolean;
  readonly error: string | undefined;
  /**
   * @param action starts when there is a connection, unless the component is removed before
   * @param done changes the screen, only while the component is still shown
   */
  readonly run: <T>(action: () => Promise<T>, done?: (result: T) => void) => void;
}

/**
 * Runs one action at a time, and keeps its error for the form. Closing a dialog or a panel cancels actions that wait
 * for the connection: they must not run later, without the user's knowledge.
 */
export function useAction(): Action {
  const client = useClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const shown = useRef<AbortController>(undefined);
  // Not useEffect, which runs after the next frame: on a slow machine a click may come before it and would have no
  // effect.
  useLayoutEffect(() => {
    const here = (shown.current = new AbortController());
    return () => here.abort();
  }, []);
  const run: Action['run'] = (action, done) => {
    const signal = shown.current?.signal;
    if (busy || signal === undefined) return;
    setBusy(true);
    setError(undefined);
    const giveBack = holdFocus();
    const perform = async (): Promise<void> => {
      await waitForConnection(client, signal);
      const result = await action();
      if (!signal.aborted) done?.(result);
    };
    perform()
      .catch((thrown: unknown) => setError(thrown instanceof Error ? thrown.message : String(thrown)))
      .finally(() => (setBusy(false), giveBack()));
  };
  return { busy, error, run };
}

export function Failure({ error }: { error: string | undefined }): JSX.Element | null {
  return error === undefined ? null : (
    <p class="error" role="alert">
      {error}
    </p>
  );
}

export function fieldText(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === 'string' ? value.trim() : '';
}
