/** The messages of a room or a thread: the rows, the scroll position, and the way to one message. */
import { useMemo, useRef } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import type { Message, Room } from '../../../client/index.ts';
import { dayName, midnight } from '../../ui/dates.ts';
import { rowsOf } from './grouping.ts';
import type { Row } from './grouping.ts';
import { Icon } from '../../ui/icons.tsx';
import { MessageGroup } from './message.tsx';
import { useClient, useStore } from '../../ui/hooks.ts';
import { useFirstUnread } from './use-first-unread.ts';
import { useJump } from './use-jump.ts';
import { useScroll } from './use-scroll.ts';
import type { TimelineState, Scrolled } from './use-scroll.ts';

interface TimelineProps {
  name: string;
  /** The word for one of the messages. */
  one: 'message' | 'reply';
  many: 'messages' | 'replies';
  room: Room;
  /** The source of older messages, which also takes the read mark. */
  reading: Scrolled;
  state: TimelineState;
  /** The read mark and the number of unread messages; undefined: unknown, or `state` does not have all of them yet. */
  mark: { readonly read: number; readonly unread: number } | undefined;
  /** The seq of the message to show, until it is visible. */
  wanted: number | undefined;
  /** A message above all others, also if messages in between are not loaded. */
  head?: Message | undefined;
  onReply: (message: Message) => void;
  /** Between the head and the first row. */
  children: ComponentChildren;
}

export function Timeline(props: TimelineProps): JSX.Element {
  const { name, one, many, room, reading, state, mark, wanted, head, onReply, children } = props;
  const client = useClient();
  const me = client.user.value ?? { id: '', name: null };
  const online = useStore(client.state).status === 'connected';
  const sparse = one === 'reply';
  const { unreadAfter, settled, furtherBack } = useFirstUnread({ reading, state, online, mark, sparse });
  const { messages, outgoing } = state;
  const before = useRef<readonly Row[]>([]);
  const rows = useMemo(() => {
    const all = rowsOf({ messages, outgoing, me, unreadAfter }, before.current);
    before.current = all;
    const [first] = all;
    const sameDay = first?.kind === 'day' && head !== undefined && midnight(head.at) === first.at;
    return sameDay ? all.slice(1) : all;
  }, [messages, outgoing, me.id, unreadAfter, head?.at]);
  const headRows = useMemo(
    () => (head === undefined ? [] : rowsOf({ messages: [head], outgoing: [], me, unreadAfter: undefined })),
    [head, me.id],
  );
  const bySeq = useMemo(
    () => new Map([...(head === undefined ? [] : [head]), ...messages].map((message) => [message.seq, message])),
    [head, messages],
  );
  const { scroller, content, scrolledUp, missed, toLatest, stay } = useScroll(reading, state, me.id, settled);
  const seeking = useJump({ reading, state, online, wanted, sparse, scroller, stay });
  const draw = useKeptRows({ me: me.id, many, room, bySeq, onReply });
  return (
    <div class="log-place">
      <div
        ref={scroller}
        class="log"
        role="log"
        aria-label={name}
        aria-live="polite"
        aria-busy={state.loadingOlder}
        tabIndex={0}
      >
        <div ref={content} class="log-content">
          {headRows.map(draw)}
          {children}
          {settled && furtherBack !== undefined && (
            <p class="log-line unread-line">
              <span>
                The first of {furtherBack.toLocaleString()} new {many} is further back
              </span>
            </p>
          )}
          {rows.map(draw)}
        </div>
      </div>
      {seeking && (
        <p class="seeking" role="status">
          Going to the {one}…
        </p>
      )}
      {scrolledUp && (
        <button class="to-latest" type="button" onClick={toLatest}>
          <Icon name="down" size={16} />
          {missed === 0 ? 'Latest' : `${missed} new`}
          <span class="sr-only"> – jump to the latest {one}</span>
        </button>
      )}
    </div>
  );
}

interface Drawing {
  readonly me: string;
  readonly many: string;
  readonly room: Room;
  readonly bySeq: ReadonlyMap<number, Message>;
  readonly onReply: (message: Message) => void;
}

interface Drawn {
  readonly drawing: Omit<Drawing, 'bySeq'>;
  /** The messages that the row replies to. */
  readonly answered: readonly (Message | undefined)[];
  readonly view: JSX.Element;
}

/** Renders rows. An unchanged row returns its former element, which Preact skips. */
function useKeptRows(next: Drawing): (row: Row) => JSX.Element {
  const kept = useRef(new WeakMap<Row, Drawn>());
  const { me, many, room, bySeq, onReply } = next;
  const drawing = useMemo(() => ({ me, many, room, onReply }), [me, many, room, onReply]);
  return (row) => {
    const answered =
      row.kind === 'group'
        ? row.items.flatMap(({ replyTo }) => (replyTo === undefined ? [] : [bySeq.get(replyTo)]))
        : [];
    const held = kept.current.get(row);
    const isSame = held?.drawing === drawing && answered.every((message, at) => message === held.answered[at]);
    // The name of a day changes at midnight.
    if (held !== undefined && isSame && row.kind !== 'day') return held.view;
    const mine = row.kind === 'group' && row.from === me;
    const view = (
      <RowView key={row.key} row={row} mine={mine} many={many} room={room} bySeq={bySeq} onReply={onReply} />
    );
    kept.current.set(row, { drawing, answered, view });
    return view;
  };
}

interface RowViewProps {
  row: Row;
  mine: boolean;
  many: string;
  room: Room;
  bySeq: ReadonlyMap<number, Message>;
  onReply: (message: Message) => void;
}

function RowView({ row, mine, many, room, bySeq, onReply }: RowViewProps): JSX.Element {
  if (row.kind === 'day') {
    return (
      <h3 class="log-line">
        <span>{dayName(row.at)}</span>
      </h3>
    );
  }
  if (row.kind === 'unread') {
    return (
      <p class="log-line unread-line" data-unread>
        <span>New {many}</span>
      </p>
    );
  }
  return <MessageGroup group={row} mine={mine} room={room} bySeq={bySeq} onReply={onReply} />;
}
