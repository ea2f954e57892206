/** The ways by which files come into the composer: the button, the clipboard, and drag and drop. */
import { useEffect, useRef } from 'preact/hooks';
import type { JSX, RefObject } from 'preact';
import { Icon } from '../../ui/icons.tsx';
import type { Uploads } from './use-uploads.ts';

export function AttachButton({ add }: Pick<Uploads, 'add'>): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        class="icon-button attach"
        type="button"
        onClick={() => input.current?.click()}
        aria-label="Attach files"
        title="Attach files"
      >
        <Icon name="attach" />
      </button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label="Files"
        onChange={({ currentTarget }) => {
          add(currentTarget.files ?? []);
          // the same file may be chosen again
          currentTarget.value = '';
        }}
      />
    </>
  );
}

/** Takes the files of a paste or a drop; a text goes its usual way. */
export function takeFiles(event: Event, data: DataTransfer | null, add: Uploads['add']): void {
  if (data === null || data.files.length === 0) return;
  event.preventDefault();
  add(data.files);
}

/** Files may be dropped anywhere in the conversation, or in the thread. */
export function useFileDrop(form: RefObject<HTMLFormElement | null>, { offered, add }: Uploads): void {
  const take = useRef(add);
  take.current = add;
  useEffect(() => {
    const place = form.current?.closest<HTMLElement>('.thread, .chat');
    if (!offered || place === null || place === undefined) return undefined;
    const stop = new AbortController();
    const mark = (event: DragEvent, isOver: boolean): void => {
      if (event.dataTransfer?.types.includes('Files') !== true) return;
      event.preventDefault();
      event.stopPropagation();
      place.toggleAttribute('data-drop', isOver);
    };
    const { signal } = stop;
    place.addEventListener('dragover', (event) => mark(event, true), { signal });
    place.addEventListener('dragleave', (event) => mark(event, false), { signal });
    place.addEventListener(
      'drop',
      (event) => {
        mark(event, false);
        takeFiles(event, event.dataTransfer, (files) => take.current(files));
      },
      { signal },
    );
    return () => stop.abort();
  }, [offered]);
}
