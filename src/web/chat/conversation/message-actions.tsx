import { useCallback, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Room } from '../../../client/index.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import type { IconName } from '../../ui/icons.tsx';
import { Picker } from './reactions.tsx';
import type { Offer } from '../rights.ts';
import { moveFocus } from '../../ui/roving-focus.ts';
import { useMessageContext } from './open-room.ts';
import { summaryOf } from '../text/text.ts';
import { useClient } from '../../ui/hooks.ts';

interface ActionsProps {
  message: Message;
  room: Room;
  /** At least one. */
  offers: readonly Offer[];
  onReply: (message: Message) => void;
  onEdit: () => void;
  attempt: (work: Promise<void>) => void;
  /** Called after a choice. */
  onDone: () => void;
}

const buttons: Readonly<Record<Offer, { readonly icon: IconName; readonly label: string }>> = {
  react: { icon: 'smile', label: 'React' },
  reply: { icon: 'reply', label: 'Reply' },
  thread: { icon: 'thread', label: 'Thread' },
  pin: { icon: 'pin', label: 'Pin' },
  unpin: { icon: 'unpin', label: 'Unpin' },
  edit: { icon: 'edit', label: 'Edit' },
  delete: { icon: 'bin', label: 'Delete' },
};

/** The actions on a message: visible while the mouse or the focus is on the message, or after a long press. */
export function MessageActions(props: ActionsProps): JSX.Element {
  const { message, room, offers, onReply, onEdit, attempt, onDone } = props;
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
  const { openThread } = useMessageContext();
  const { seq } = message;
  const pin = (command: 'message:pin' | 'message:unpin') => (): void => {
    attempt(client.call(command, { room: message.room, seq }).then(() => undefined));
    onDone();
  };
  const runs: Record<Offer, () => void> = {
    react: () => setPicking(!picking),
    reply: () => (onReply(message), onDone()),
    thread: () => (onDone(), openThread(message.thread?.root ?? seq)),
    pin: pin('message:pin'),
    unpin: pin('message:unpin'),
    edit: onEdit,
    delete: () => setDeleting(true),
  };
  return (
    <>
      <div class={picking ? 'actions picking' : 'actions'}>
        <div class="action-bar" role="toolbar" aria-label="Message actions" onKeyDown={(event) => moveFocus(event)}>
          {offers.map((offer, at) => (
            <button
              key={offer}
              class="icon-button tiny"
              type="button"
              tabIndex={at === 0 ? 0 : -1}
              aria-label={buttons[offer].label}
              title={buttons[offer].label}
              onClick={runs[offer]}
              {...(offer === 'react' && { ref: opener, 'aria-haspopup': 'dialog', 'aria-expanded': picking })}
            >
              <Icon name={buttons[offer].icon} size={16} />
            </button>
          ))}
        </div>
        {picking && offers.includes('react') && <Picker opener={opener} onPick={pick} onClose={closePicker} />}
      </div>
      {/* Outside of the actions, which are hidden on a phone until a long press. */}
      {deleting && <DeleteDialog room={room} message={message} onClose={() => (setDeleting(false), onDone())} />}
    </>
  );
}

function DeleteDialog({ room, message, onClose }: { room: Room; message: Message; onClose: () => void }): JSX.Element {
  const { busy, error, run } = useAction();
  const remove = (): void => run(() => room.delete(message.seq), onClose);
  return (
    <Dialog title="Delete this message?" onClose={onClose}>
      <p class="to-delete" dir="auto">
        {summaryOf(message)}
      </p>
      <p class="muted">The message and its reactions are deleted for everybody. This cannot be undone.</p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Cancel
        </button>
        <button class="button danger" type="button" disabled={busy} onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}
