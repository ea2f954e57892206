/** A panel beside the room, or over it in a narrow window: the members, a thread. */
import { useEffect, useRef } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import { Icon } from './icons.tsx';

interface PanelProps {
  title: string;
  /** The class for the width and the content. */
  variant: string;
  /** The line under the title. */
  about?: string;
  /** Controls beside the title. */
  tools?: ComponentChildren;
  /** The label of the close button. */
  close: string;
  /** The panel lies over the room instead of beside it. */
  overlay: boolean;
  /** The panel takes the focus also beside the room; an overlay always does. */
  takesFocus?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

export function Panel(props: PanelProps): JSX.Element {
  const { title, variant, about, tools, close, overlay, takesFocus = false, onClose, children } = props;
  const panel = useRef<HTMLElement>(null);
  const closer = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The window may have become narrow during writing.
    if ((overlay || takesFocus) && panel.current?.contains(document.activeElement) !== true) closer.current?.focus();
  }, [overlay]);
  return (
    <aside
      ref={panel}
      class={`panel ${variant}${overlay ? ' overlay' : ''}`}
      aria-label={title}
      onKeyDown={({ key, target }) => {
        // In a dialog over the panel, the key closes the dialog.
        const inDialog = target instanceof Element && target.closest('dialog') !== null;
        if (key === 'Escape' && !inDialog) onClose();
      }}
    >
      <header>
        <div class="panel-title">
          <h2>{title}</h2>
          {about !== undefined && (
            <p class="muted small-text" dir="auto">
              {about}
            </p>
          )}
        </div>
        {tools}
        <button ref={closer} class="icon-button" type="button" onClick={onClose} aria-label={close} title={close}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </aside>
  );
}
