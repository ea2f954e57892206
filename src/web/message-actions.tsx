import { useCallback, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Room } from '../client/index.ts';
import { Dialog, Failure, useAction } from './dialog.tsx';
import { Icon } from './icons.tsx';
import type { IconName } from './icons.tsx';
import { Picker } from './reactions.tsx';
import { moveFocus } from './roving.ts';
import { usePlace } from './talk.ts';
import { summaryOf, withText } from './text.ts';
import { useClient } from './use.ts';

interface ActionsProps {
  message: Message;
  room: Room;
  may: { readonly edit: boolean; readonly delete: boolean };
  onReply: (message: Message) => void;
  onEdit: () => void;
  attempt: (work: Promise<void>) => void;
  /** Something was chosen. */
  onDone: () => void;
}

/** What can be done with a message: seen while the mouse or the focus is on it, or after a long press. */
export function MessageActions(props: ActionsProps): JSX.Element {
  const { message, room, may, onReply, onEdit, attempt, onDone } = props;
  const client = useClient();
  const [picking, setPicking] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const closePicker = useCallback(() => setPicking(false), []);
  const pick = (emoji: string): void => {
    const mine = message.reactions?.some((one) => one.emoji === emoji && one.mine) === true;
    attempt(mine ? room.unreact(message.seq, emoji) : room.react(message.seq, emoji));
    setPicking(false);
    opener.current?.focus();
    onDone();
  };
  const { mayPin, inThread, openThread } = usePlace();
  const { seq, pinnedAt } = message;
  const pin = (): void => {
    const input = { room: message.room, seq };
    const command = pinnedAt === undefined ? 'message:pin' : 'message:unpin';
    attempt(client.call(command, input).then(() => undefined));
    onDone();
  };
  const editable = may.edit && withText(message.body, '') !== undefined;
  const actions: { name: IconName; label: string; run: () => void }[] = [
    { name: 'reply', label: 'Reply', run: () => (onReply(message), onDone()) },
    ...(inThread === undefined
      ? [{ name: 'thread' as const, label: 'Thread', run: () => (onDone(), openThread(message.thread?.root ?? seq)) }]
      : []),
    ...(mayPin
      ? [
          {
            name: pinnedAt === undefined ? ('pin' as const) : ('unpin' as const),
            label: pinnedAt === undefined ? 'Pin' : 'Unpin',
            run: pin,
          },
        ]
      : []),
    ...(editable ? [{ name: 'edit' as const, label: 'Edit', run: onEdit }] : []),
    ...(may.delete ? [{ name: 'bin' as const, label: 'Delete', run: () => setDeleting(true) }] : []),
  ];
  return (
    <>
      <div class={picking ? 'actions picking' : 'actions'}>
        <div class="action-bar" role="toolbar" aria-label="Message actions" onKeyDown={(event) => moveFocus(event)}>
          <button
            ref={opener}
            class="icon-button tiny"
            type="button"
            aria-label="React"
            title="React"
            aria-haspopup="dialog"
            aria-expanded={picking}
            onClick={() => setPicking(!picking)}
          >
            <Icon name="smile" size={16} />
          </button>
          {actions.map(({ name, label, run }) => (
            <button
              key={name}
              class="icon-button tiny"
              type="button"
              tabIndex={-1}
              aria-label={label}
              title={label}
              onClick={run}
            >
              <Icon name={name} size={16} />
            </button>
          ))}
        </div>
        {picking && <Picker opener={opener} onPick={pick} onClose={closePicker} />}
      </div>
      {/* Outside: on a phone the actions are gone while nobody asks for them. */}
      {deleting && <DeleteDialog room={room} message={message} onClose={() => (setDeleting(false), onDone())} />}
    </>
  );
}

function DeleteDialog({ room, message, onClose }: { room: Room; message: Message; onClose: () => void }): JSX.Element {
  const { busy, error, run } = useAction();
  const remove = (): void => run(() => room.delete(message.seq).then(onClose));
  return (
    <Dialog title="Delete this message?" onClose={onClose}>
      <p class="to-delete" dir="auto">
        {summaryOf(message)}
      </p>
      <p class="muted">It is gone for everybody, with its reactions. This cannot be undone.</p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Keep it
        </button>
        <button class="button danger" type="button" disabled={busy} onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}
