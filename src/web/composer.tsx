import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { limits } from '../client/index.ts';
import type { Message, Room } from '../client/index.ts';
import { Icon } from './icons.tsx';
import { nameOf } from './people.ts';
import { readStored, writeStored } from './storage.ts';
import { summaryOf } from './text.ts';
import { phone, useMatch } from './use.ts';

interface ComposerProps {
  room: Room;
  title: string;
  replyTo: Message | undefined;
  readOnly: boolean;
  onReplied: () => void;
}

export function Composer({ room, title, replyTo, readOnly, onReplied }: ComposerProps): JSX.Element {
  const draftKey = `parley.draft.${room.id}`;
  const [text, setText] = useState(() => restoredDraft(draftKey));
  const field = useRef<HTMLTextAreaElement>(null);
  const onPhone = useMatch(phone);
  const tooLong = new TextEncoder().encode(JSON.stringify({ text })).length > limits.bodyBytes;

  useLayoutEffect(() => fit(field.current), [text]);
  const takeFocus = (): void => {
    if (!onPhone || replyTo !== undefined) field.current?.focus();
  };
  // Before the room is painted: who types as soon as they see it has every letter in the field.
  useLayoutEffect(takeFocus, [room, replyTo]);
  // And after: a dialog that led here keeps the focus until it is gone, and then gives it to what opened it.
  useEffect(takeFocus, [room, replyTo]);

  const write = (next: string): void => {
    setText(next);
    writeStored(sessionStorage, draftKey, next === '' ? undefined : next);
  };
  const input = (next: string): void => {
    write(next);
    if (next.trim() === '') room.typingEnded();
    else room.typing();
  };
  const send = (): void => {
    const trimmed = text.trim();
    if (trimmed === '' || tooLong) return;
    void room.send({ text: trimmed }, replyTo === undefined ? {} : { replyTo: replyTo.seq });
    write('');
    onReplied();
    field.current?.focus();
  };
  const keyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // While an input method composes, Enter chooses a candidate.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === 'Escape' && replyTo !== undefined) onReplied();
  };

  if (readOnly) return <p class="composer muted">You may read here, but not write.</p>;
  return (
    <form class="composer" aria-label="Write a message" onSubmit={(event) => (event.preventDefault(), send())}>
      {replyTo !== undefined && <ReplyBar message={replyTo} onCancel={onReplied} />}
      <div class="composer-row">
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={text}
          enterkeyhint="send"
          placeholder={`Message ${title}`}
          aria-label={`Message ${title}`}
          aria-invalid={tooLong}
          onInput={(event) => input(event.currentTarget.value)}
          onKeyDown={keyDown}
        />
        <button
          class="icon-button send"
          type="submit"
          disabled={text.trim() === '' || tooLong}
          aria-label="Send"
          title="Send"
        >
          <Icon name="send" />
        </button>
      </div>
      {tooLong && (
        <p class="error" role="alert">
          This is longer than a message may be.
        </p>
      )}
    </form>
  );
}

function ReplyBar({ message, onCancel }: { message: Message; onCancel: () => void }): JSX.Element {
  return (
    <div class="reply-bar">
      <Icon name="reply" size={16} />
      <span class="reply-text" dir="auto">
        <strong>{nameOf(message.from, message.name)}</strong> {summaryOf(message)}
      </span>
      <button class="icon-button tiny" type="button" onClick={onCancel} aria-label="Do not reply">
        <Icon name="close" size={16} />
      </button>
    </div>
  );
}

/** As high as its text, up to what CSS allows. */
function fit(field: HTMLTextAreaElement | null): void {
  if (field === null) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight}px`;
}

function restoredDraft(key: string): string {
  const draft = readStored(sessionStorage, key);
  return typeof draft === 'string' ? draft : '';
}
