import { useMemo } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Outgoing, Room } from '../client/index.ts';
import { Avatar } from './avatar.tsx';
import { clockTime, fullTime } from './dates.ts';
import type { Item, Row } from './grouping.ts';
import { Icon } from './icons.tsx';
import { nameOf } from './people.ts';
import { isEmojiOnly, pieces, summaryOf, textOf } from './text.ts';

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
  room: Room;
  message: Message | undefined;
  answered: Message | undefined;
  onReply: (message: Message) => void;
}

function MessageItem(props: ItemProps): JSX.Element {
  const { item, message, answered } = props;
  // A room of hundreds is drawn again with each message and each typist; only what changed may cost.
  return useMemo(() => drawItem(props), [item.body, item.outgoing, message, answered]);
}

function drawItem({ item, room, message, answered, onReply }: ItemProps): JSX.Element {
  const text = textOf(item.body);
  const state = item.outgoing?.state;
  return (
    <div class="item" data-seq={item.seq} data-state={state}>
      <div class="item-row">
        <div class={isEmojiOnly(text) ? 'bubble emoji' : 'bubble'}>
          {item.replyTo !== undefined && <Quote seq={item.replyTo} message={answered} />}
          <p class="text" dir="auto">
            <Linked text={text} />
          </p>
        </div>
        {message !== undefined && (
          <button
            class="icon-button tiny reply"
            type="button"
            onClick={() => onReply(message)}
            aria-label="Reply"
            title="Reply"
          >
            <Icon name="reply" size={16} />
          </button>
        )}
        {state !== undefined && state !== 'failed' && <OnItsWay sent={state === 'sent'} />}
      </div>
      {state === 'failed' && <Failed outgoing={item.outgoing} room={room} />}
    </div>
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
