import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Outgoing, Room } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { attachmentsOf, filesOf } from '../text/body.ts';
import { BodyView } from './body-view.tsx';
import { clockTime, fullTime } from '../../ui/dates.ts';
import type { Item, Row } from './grouping.ts';
import { EditForm } from './edit-form.tsx';
import { Icon } from '../../ui/icons.tsx';
import { MessageActions } from './message-actions.tsx';
import { nameOf } from '../members/people.ts';
import { Reactions } from './reactions.tsx';
import { ReceiptMark } from './receipt.tsx';
import { offersFor } from '../rights.ts';
import type { MessageRights } from '../rights.ts';
import { addressOf, addressOfThread } from '../route.ts';
import { deletedText, isEmojiOnly, summaryOf, textOf, withText } from '../text/text.ts';
import { useMessageContext } from './open-room.ts';
import { ThreadChip } from '../threads/thread-chip.tsx';
import { useBefore } from '../../ui/hooks.ts';

interface GroupProps {
  group: Extract<Row, { kind: 'group' }>;
  mine: boolean;
  room: Room;
  bySeq: ReadonlyMap<number, Message>;
  onReply: (message: Message) => void;
}

export function MessageGroup({ group, mine, room, bySeq, onReply }: GroupProps): JSX.Element {
  const name = nameOf(group.from, group.name);
  const at = group.items[0]?.at ?? 0;
  const last = group.items.findLast(({ seq }) => seq !== undefined)?.seq;
  return (
    <article class={mine ? 'group mine' : 'group'} aria-label={mine ? 'You' : name}>
      {!mine && <Avatar id={group.from} name={name} size={36} />}
      <div class="group-body">
        <header class="group-head">
          {!mine && (
            <strong class="author" dir="auto">
              {name}
            </strong>
          )}
          <time dateTime={new Date(at).toISOString()} title={fullTime(at)}>
            {clockTime(at)}
          </time>
          {mine && last !== undefined && <ReceiptMark seq={last} />}
        </header>
        {group.items.map((item) => (
          <MessageItem
            key={item.id}
            item={item}
            mine={mine}
            room={room}
            onReply={onReply}
            answered={item.replyTo === undefined ? undefined : bySeq.get(item.replyTo)}
            message={item.seq === undefined ? undefined : bySeq.get(item.seq)}
          />
        ))}
      </div>
    </article>
  );
}

interface ItemProps {
  item: Item;
  mine: boolean;
  room: Room;
  message: Message | undefined;
  answered: Message | undefined;
  onReply: (message: Message) => void;
}

/** A touch of this duration shows the actions. */
const longPressMs = 450;

function MessageItem(props: ItemProps): JSX.Element {
  const { item, mine, message, answered } = props;
  const { inThread, may } = useMessageContext();
  const inTime = useBefore(mine ? item.at + may.editWithin : Infinity);
  const [editing, setEditing] = useState(false);
  const [error, setError] = useState<string>();
  // Set by a long press; a mouse shows the actions by hovering.
  const [open, setOpen] = useState(false);
  const element = useRef<HTMLDivElement>(null);
  const press = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (!open) return undefined;
    const pressedOutside = (event: PointerEvent): void => {
      if (event.target instanceof Node && element.current?.contains(event.target) !== true) setOpen(false);
    };
    document.addEventListener('pointerdown', pressedOutside);
    return () => document.removeEventListener('pointerdown', pressedOutside);
  }, [open]);
  useEffect(() => () => clearTimeout(press.current), []);
  const released = (): void => clearTimeout(press.current);
  const state: ItemState = {
    editing,
    error,
    inThread,
    may,
    inTime,
    setOpen,
    edit: () => (setEditing(true), setOpen(false)),
    edited: () => (setEditing(false), element.current?.querySelector<HTMLElement>('.actions button')?.focus()),
    attempt: (work) => {
      setError(undefined);
      work.catch((thrown: Error) => setError(thrown.message));
    },
  };
  // A large room renders with each message and each typing signal, so that an unchanged message must cost nothing.
  const content = useMemo(
    () => drawItem(props, state),
    [item.body, item.outgoing, message, answered, may, inTime, editing, error],
  );
  return (
    <div
      ref={element}
      class={open ? 'item open' : 'item'}
      data-seq={item.seq}
      data-state={item.outgoing?.state}
      onPointerDown={(event) => {
        if (event.pointerType !== 'touch' || message === undefined) return;
        press.current = setTimeout(() => setOpen(true), longPressMs);
      }}
      onPointerUp={released}
      onPointerMove={released}
      onPointerCancel={released}
    >
      {content}
    </div>
  );
}

interface ItemState {
  readonly editing: boolean;
  readonly error: string | undefined;
  readonly setOpen: (open: boolean) => void;
  readonly edit: () => void;
  readonly edited: () => void;
  readonly attempt: (work: Promise<void>) => void;
  readonly inThread: number | undefined;
  readonly may: MessageRights;
  /** The time limit for edits is not over. */
  readonly inTime: boolean;
}

function drawItem(
  { item, mine, room, message, answered, onReply }: ItemProps,
  { editing, error, setOpen, edit, edited, attempt, inThread, may, inTime }: ItemState,
): JSX.Element {
  const hasFiles = attachmentsOf(item.body).length > 0 || filesOf(item.body).length > 0;
  const large = isEmojiOnly(textOf(item.body)) && !hasFiles;
  const state = item.outgoing?.state;
  const deleted = message?.deletedAt !== undefined;
  const editable = inTime && withText(item.body, '') !== undefined;
  const offers =
    message === undefined ? [] : offersFor({ message, mine, editable, inThread: inThread !== undefined }, may);
  return (
    <>
      <div class="item-row">
        {editing && message !== undefined && !deleted ? (
          <EditForm room={room} message={message} onDone={edited} />
        ) : (
          <div class={deleted ? 'bubble deleted' : large ? 'bubble emoji' : 'bubble'}>
            {item.replyTo !== undefined && !deleted && <Quote room={room.id} seq={item.replyTo} message={answered} />}
            {deleted ? <p class="text">{deletedText}</p> : <BodyView body={item.body} />}
            {message?.pinnedAt !== undefined && <PinMark by={message.pinnedBy} />}
            {message?.editedAt !== undefined && !deleted && (
              <span class="edited" title={fullTime(message.editedAt)}>
                edited
              </span>
            )}
          </div>
        )}
        {message !== undefined && !editing && offers.length > 0 && (
          <>
            <MessageActions
              message={message}
              room={room}
              offers={offers}
              onReply={onReply}
              onEdit={edit}
              attempt={attempt}
              onDone={() => setOpen(false)}
            />
            <button class="icon-button tiny more" type="button" onClick={() => setOpen(true)} aria-label="Actions">
              <Icon name="more" size={20} />
            </button>
          </>
        )}
        {state !== undefined && state !== 'failed' && <OnItsWay sent={state === 'sent'} />}
      </div>
      {message?.reactions !== undefined && <Reactions room={room} message={message} may={may} attempt={attempt} />}
      {message !== undefined && message.thread?.root === message.seq && inThread === undefined && (
        <ThreadChip message={message} />
      )}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {state === 'failed' && <Failed outgoing={item.outgoing} room={room} />}
    </>
  );
}

function PinMark({ by }: { by: string | undefined }): JSX.Element {
  return (
    <span class="pin-mark" title={by === undefined ? 'Pinned' : `Pinned by ${nameOf(by)}`}>
      <Icon name="pin" size={13} />
      <span class="sr-only">Pinned</span>
    </span>
  );
}

function Quote({ room, seq, message }: { room: string; seq: number; message: Message | undefined }): JSX.Element {
  const { inThread } = useMessageContext();
  return (
    <blockquote class="quote" dir="auto">
      <a href={inThread === undefined ? addressOf(room, seq) : addressOfThread(room, inThread, seq)}>
        {message === undefined ? (
          `An earlier message (#${seq})`
        ) : (
          <>
            <strong>{nameOf(message.from, message.name)}</strong> {summaryOf(message)}
          </>
        )}
      </a>
    </blockquote>
  );
}

function OnItsWay({ sent }: { sent: boolean }): JSX.Element {
  return (
    <span class="delivery">
      <Icon name={sent ? 'check' : 'clock'} size={14} />
      <span class="sr-only">{sent ? 'Sent' : 'Sending'}</span>
    </span>
  );
}

function Failed({ outgoing, room }: { outgoing: Outgoing | undefined; room: Room }): JSX.Element | null {
  if (outgoing === undefined) return null;
  const { id } = outgoing.input;
  return (
    <p class="delivery failed" role="alert">
      <Icon name="alert" size={14} />
      <span>Not sent: {outgoing.error?.message}</span>
      <button class="link" type="button" onClick={() => room.retry(id)}>
        Try again
      </button>
      <button class="link" type="button" onClick={() => room.discard(id)}>
        Delete
      </button>
    </p>
  );
}
