import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { limits, ParleyError } from '../../../client/index.ts';
import type { Message, Room } from '../../../client/index.ts';
import { isComposing } from '../../ui/input-method.ts';
import { draftKey, readDraft, writeDraft } from './drafts.ts';
import { Icon } from '../../ui/icons.tsx';
import { toDraft } from '../text/mentions.ts';
import { knownName, nameOf } from '../members/people.ts';
import { summaryOf } from '../text/text.ts';
import { say } from '../../ui/toast.tsx';
import { phone, useClient, useMatch, useStore } from '../../ui/hooks.ts';
import { PendingFiles } from '../uploads/pending-files.tsx';
import { AttachButton, takeFiles, useFileDrop } from '../uploads/attach.tsx';
import { useUploads } from '../uploads/use-uploads.ts';
import { useMentions } from './use-mentions.tsx';

interface ComposerProps {
  room: Room;
  title: string;
  replyTo: Message | undefined;
  /** The seq of the root: messages go into that thread. */
  thread?: number;
  readOnly: boolean;
  onReplied: () => void;
}

export function Composer(props: ComposerProps): JSX.Element | null {
  const user = useStore(useClient().user);
  // Just after the page is loaded the user and the title of the room are unknown, so there is no draft to restore.
  return user === undefined ? null : <Writing key={user.id} {...props} user={user.id} />;
}

function Writing({
  user,
  room,
  title,
  replyTo,
  thread,
  readOnly,
  onReplied,
}: ComposerProps & { user: string }): JSX.Element {
  const key = draftKey(user, room.id, thread);
  const [before] = useState(() => toDraft(readDraft(key), (id) => knownName(id)));
  const [text, setText] = useState(before.draft);
  const field = useRef<HTMLTextAreaElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const uploads = useUploads(key);
  const { files } = uploads;
  useFileDrop(form, uploads);
  const onPhone = useMatch(phone);
  const label = thread === undefined ? `Message ${title}` : 'Reply in the thread';
  const write = (next: string): void => {
    setText(next);
    // With ids, because the names may be unknown after a reload.
    writeDraft(key, mentions.wire(next));
  };
  const mentions = useMentions(field, write, before.picked);
  const tooLong = new TextEncoder().encode(JSON.stringify({ text: mentions.wire(text) })).length > limits.bodyBytes;

  const ready = !tooLong && (text.trim() !== '' || files.length > 0) && files.every(({ state }) => state === 'ready');

  useLayoutEffect(() => fit(field.current), [text]);
  const takeFocus = (): void => {
    // A link led to a message, which has the focus.
    if (replyTo === undefined && document.activeElement?.matches('[data-found]') === true) return;
    if (!onPhone || replyTo !== undefined) field.current?.focus();
  };
  // Runs before the room is painted, so that the field gets every letter of a user that types at once.
  useLayoutEffect(takeFocus, [room, replyTo]);
  // Runs again later: a dialog that led here keeps the focus until it is removed, and then returns the focus to its
  // opener.
  useEffect(takeFocus, [room, replyTo]);

  const input = (next: string): void => {
    write(next);
    mentions.caretMoved();
    if (next.trim() === '') room.typingEnded();
    else room.typing();
  };
  const send = (): void => {
    if (!ready) return;
    const trimmed = text.trim();
    const body = {
      ...(trimmed === '' ? {} : { text: mentions.wire(trimmed) }),
      ...(files.length === 0 ? {} : { files: files.flatMap(({ file }) => file ?? []) }),
    };
    const answered = replyTo?.seq ?? thread;
    const waiting = room.state.value.outgoing;
    const sent = room.send(body, answered === undefined ? {} : { replyTo: answered });
    // A queued message shows its state in the room. A message that could not be queued exists only in this field.
    if (room.state.value.outgoing === waiting) return void sent.catch((thrown: Error) => say(refusalOf(thrown)));
    write('');
    uploads.clear();
    onReplied();
    field.current?.focus();
  };
  const keyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    if (mentions.key(event)) return;
    if (isComposing(event)) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'Escape' && replyTo !== undefined) {
      event.stopPropagation();
      onReplied();
    }
  };

  if (readOnly) return <p class="composer muted">You may read here, but not write.</p>;
  return (
    <form
      ref={form}
      class="composer"
      aria-label={thread === undefined ? 'Write a message' : 'Write a reply'}
      onSubmit={(event) => (event.preventDefault(), send())}
    >
      {replyTo !== undefined && <ReplyBar message={replyTo} onCancel={onReplied} />}
      {mentions.list}
      <PendingFiles {...uploads} />
      <div class="composer-row">
        {uploads.offered && <AttachButton add={uploads.add} />}
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={text}
          enterkeyhint="send"
          placeholder={label}
          aria-label={label}
          aria-invalid={tooLong}
          onInput={(event) => input(event.currentTarget.value)}
          onSelect={mentions.caretMoved}
          onKeyDown={keyDown}
          onPaste={(event) => uploads.offered && takeFiles(event, event.clipboardData, uploads.add)}
          {...mentions.attributes}
        />
        <button class="icon-button send" type="submit" disabled={!ready} aria-label="Send" title="Send">
          <Icon name="send" />
        </button>
      </div>
      {tooLong && (
        <p class="error" role="alert">
          This message is too long.
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

/** Makes the field as high as its text, up to the limit of the CSS. */
function fit(field: HTMLTextAreaElement | null): void {
  if (field === null) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight}px`;
}

function refusalOf(error: Error): string {
  const full = error instanceof ParleyError && error.code === 'limit_reached';
  return full
    ? 'Too many messages wait to be sent. Try again when some of them are sent.'
    : `Not sent: ${error.message}`;
}
