/** What stands beside the room, or lies over it where the window is narrow: the members, a thread. */
import { useEffect, useRef } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import { Icon } from './icons.tsx';

interface PanelProps {
  title: string;
  /** The class that gives it its width and what is its own inside. */
  variant: string;
  /** Under the title. */
  about?: string;
  /** Beside the title. */
  tools?: ComponentChildren;
  /** What the button says that closes it. */
  close: string;
  /** It lies over the room instead of beside it. */
  overlay: boolean;
  /** It takes the focus even beside the room; what lies over it always does. */
  takesFocus?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

export function Panel(props: PanelProps): JSX.Element {
  const { title, variant, about, tools, close, overlay, takesFocus = false, onClose, children } = props;
  const panel = useRef<HTMLElement>(null);
  const closer = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The window may have become narrow while one writes in it.
    if ((overlay || takesFocus) && panel.current?.contains(document.activeElement) !== true) closer.current?.focus();
  }, [overlay]);
  return (
    <aside
      ref={panel}
      class={`panel ${variant}${overlay ? ' overlay' : ''}`}
      aria-label={title}
      onKeyDown={({ key, target }) => {
        // Of a dialog that stands over it, the key closes the dialog.
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
