import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Outgoing, Role, Room } from '../client/index.ts';
import { Avatar } from './avatar.tsx';
import { clockTime, fullTime } from './dates.ts';
import type { Item, Row } from './grouping.ts';
import { EditForm } from './edit-form.tsx';
import { Icon } from './icons.tsx';
import { MessageActions } from './message-actions.tsx';
import { nameOf } from './people.ts';
import { Reactions } from './reactions.tsx';
import { deletedText, isEmojiOnly, pieces, summaryOf, textOf } from './text.ts';

interface GroupProps {
  group: Extract<Row, { kind: 'group' }>;
  mine: boolean;
  /** Ours, in this room. */
  role: Role | null;
  room: Room;
  bySeq: ReadonlyMap<number, Message>;
  onReply: (message: Message) => void;
}

export function MessageGroup({ group, mine, role, room, bySeq, onReply }: GroupProps): JSX.Element {
  const name = nameOf(group.from, group.name);
  const at = group.items[0]?.at ?? 0;
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
        </header>
        {group.items.map((item) => (
          <MessageItem
            key={item.id}
            item={item}
            mine={mine}
            role={role}
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
  role: Role | null;
  room: Room;
  message: Message | undefined;
  answered: Message | undefined;
  onReply: (message: Message) => void;
}

/** A finger that rests this long asks what can be done. */
const longPressMs = 450;

function MessageItem(props: ItemProps): JSX.Element {
  const { item, role, message, answered } = props;
  const [editing, setEditing] = useState(false);
  const [error, setError] = useState<string>();
  // By a long press; a mouse shows the actions by hovering.
  const [open, setOpen] = useState(false);
  const element = useRef<HTMLDivElement>(null);
  const press = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event: PointerEvent): void => {
      if (event.target instanceof Node && element.current?.contains(event.target) !== true) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, [open]);
  useEffect(() => () => clearTimeout(press.current), []);
  const released = (): void => clearTimeout(press.current);
  const state: ItemState = {
    editing,
    error,
    setOpen,
    edit: () => (setEditing(true), setOpen(false)),
    edited: () => (setEditing(false), element.current?.querySelector<HTMLElement>('.actions button')?.focus()),
    attempt: (work) => {
      setError(undefined);
      work.catch((thrown: Error) => setError(thrown.message));
    },
  };
  // A room of hundreds is drawn again with each message and each typist; only what changed may cost.
  const content = useMemo(
    () => drawItem(props, state),
    [item.body, item.outgoing, message, answered, role, editing, error],
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
}

function drawItem(
  { item, mine, role, room, message, answered, onReply }: ItemProps,
  { editing, error, setOpen, edit, edited, attempt }: ItemState,
): JSX.Element {
  const text = textOf(item.body);
  const state = item.outgoing?.state;
  const deleted = message?.deletedAt !== undefined;
  const may = {
    write: role !== 'guest' && role !== null,
    edit: mine,
    delete: mine || role === 'owner' || role === 'admin',
  };
  return (
    <>
      <div class="item-row">
        {editing && message !== undefined && !deleted ? (
          <EditForm room={room} message={message} onDone={edited} />
        ) : (
          <div class={deleted ? 'bubble deleted' : isEmojiOnly(text) ? 'bubble emoji' : 'bubble'}>
            {item.replyTo !== undefined && !deleted && <Quote seq={item.replyTo} message={answered} />}
            <p class="text" dir="auto">
              {deleted ? deletedText : <Linked text={text} />}
            </p>
            {message?.editedAt !== undefined && !deleted && (
              <span class="edited" title={fullTime(message.editedAt)}>
                edited
              </span>
            )}
          </div>
        )}
        {message !== undefined && !deleted && !editing && may.write && (
          <>
            <MessageActions
              message={message}
              room={room}
              may={may}
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
      {message?.reactions !== undefined && (
        <Reactions room={room} message={message} disabled={!may.write} attempt={attempt} />
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

function Linked({ text }: { text: string }): JSX.Element {
  return (
    <>
      {pieces(text).map((piece) =>
        piece.href === undefined ? (
          piece.text
        ) : (
          <a href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
            {piece.text}
          </a>
        ),
      )}
    </>
  );
}

function Quote({ seq, message }: { seq: number; message: Message | undefined }): JSX.Element {
  return (
    <blockquote class="quote" dir="auto">
      {message === undefined ? (
        `An earlier message (#${seq})`
      ) : (
        <>
          <strong>{nameOf(message.from, message.name)}</strong> {summaryOf(message)}
        </>
      )}
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
