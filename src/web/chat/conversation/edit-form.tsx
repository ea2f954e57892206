import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { limits } from '../../../client/index.ts';
import type { Message, Room } from '../../../client/index.ts';
import { isComposing } from '../../ui/input-method.ts';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { toDraft } from '../text/mentions.ts';
import { knownName } from '../members/people.ts';
import { textOf, withText } from '../text/text.ts';
import { useMentions } from '../composer/use-mentions.tsx';

interface EditFormProps {
  room: Room;
  message: Message;
  onDone: () => void;
}

/** Replaces the message during an edit: Enter saves, Escape cancels. */
export function EditForm({ room, message, onDone }: EditFormProps): JSX.Element {
  const [before] = useState(() => toDraft(textOf(message.body), (id) => knownName(id)));
  const [text, setText] = useState(before.draft);
  const { busy, error, run } = useAction();
  const field = useRef<HTMLTextAreaElement>(null);
  const mentions = useMentions(field, setText, before.picked);
  const body = withText(message.body, mentions.wire(text.trim()));
  const tooLong = new TextEncoder().encode(JSON.stringify(body)).length > limits.bodyBytes;
  const empty = text.trim() === '';

  useLayoutEffect(() => {
    const { current } = field;
    current?.focus();
    current?.setSelectionRange(current.value.length, current.value.length);
  }, []);
  useLayoutEffect(() => {
    const { current } = field;
    if (current === null) return;
    current.style.height = 'auto';
    current.style.height = `${current.scrollHeight}px`;
  }, [text]);

  const save = (): void => {
    if (empty || tooLong) return;
    if (mentions.wire(text.trim()) === textOf(message.body)) return onDone();
    run(() => room.edit(message.seq, body), onDone);
  };
  const keyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    if (mentions.key(event)) return;
    if (isComposing(event)) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      save();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      onDone();
    }
  };
  return (
    <form class="edit-form" aria-label="Edit the message" onSubmit={(event) => (event.preventDefault(), save())}>
      {mentions.list}
      <textarea
        ref={field}
        rows={1}
        dir="auto"
        value={text}
        aria-label="New text"
        aria-invalid={tooLong}
        onInput={(event) => (setText(event.currentTarget.value), mentions.caretMoved())}
        onSelect={mentions.caretMoved}
        onKeyDown={keyDown}
        {...mentions.attributes}
      />
      <Failure error={tooLong ? 'This message is too long.' : error} />
      <div class="edit-buttons">
        <button class="button small plain" type="button" onClick={onDone}>
          Cancel
        </button>
        <button class="button small primary" type="submit" disabled={busy || empty || tooLong}>
          Save
        </button>
      </div>
    </form>
  );
}
