import { useMemo, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, Role, Room, RoomEntry } from '../client/index.ts';
import { dayName } from './dates.ts';
import { rowsOf } from './grouping.ts';
import type { Row } from './grouping.ts';
import { Icon } from './icons.tsx';
import { MessageGroup } from './message.tsx';
import { useClient, useStore } from './use.ts';
import { useJump } from './use-jump.ts';
import { useScroll } from './use-scroll.ts';

interface MessageListProps {
  room: Room;
  entry: RoomEntry | undefined;
  onReply: (message: Message) => void;
}

export function MessageList({ room, entry, onReply }: MessageListProps): JSX.Element {
  const client = useClient();
  const me = client.user.value ?? { id: '', name: null };
  const state = useStore(room.state);
  // Where the mark stood when the room was opened: the line must not move while one reads.
  const [unreadAfter] = useState(entry !== undefined && entry.unread > 0 ? entry.read : undefined);
  const { messages, outgoing } = state;
  const rows = useMemo(() => rowsOf({ messages, outgoing, me, unreadAfter }), [messages, outgoing, me.id, unreadAfter]);
  const bySeq = useMemo(() => new Map(messages.map((message) => [message.seq, message])), [messages]);
  const { scroller, content, away, missed, toLatest, stay } = useScroll(room, state, me.id);
  const seeking = useJump(room, state, useStore(client.state).status === 'connected', scroller, stay);

  return (
    <div class="log-place">
      <div
        ref={scroller}
        class="log"
        role="log"
        aria-label="Messages"
        aria-live="polite"
        aria-busy={state.loadingOlder}
        tabIndex={0}
      >
        <div ref={content} class="log-content">
          <Beginning state={state} />
          {rows.map((row) => (
            <RowView
              key={row.key}
              row={row}
              mine={row.kind === 'group' && row.from === me.id}
              role={entry?.role ?? null}
              room={room}
              bySeq={bySeq}
              onReply={onReply}
            />
          ))}
        </div>
      </div>
      {seeking && (
        <p class="seeking" role="status">
          Going to the message…
        </p>
      )}
      {away && (
        <button class="to-latest" type="button" onClick={toLatest}>
          <Icon name="down" size={16} />
          {missed === 0 ? 'Latest' : `${missed} new`}
          <span class="sr-only"> – jump to the latest message</span>
        </button>
      )}
    </div>
  );
}

function Beginning({
  state,
}: {
  state: { status: string; hasOlder: boolean; messages: readonly unknown[] };
}): JSX.Element {
  if (state.status === 'loading' && state.messages.length === 0) return <p class="beginning muted">Loading…</p>;
  if (state.hasOlder) return <p class="beginning muted">Loading older messages…</p>;
  return (
    <p class="beginning muted">
      {state.messages.length === 0 ? 'Nothing here yet. Say hello.' : 'This is where the conversation began.'}
    </p>
  );
}

interface RowViewProps {
  row: Row;
  mine: boolean;
  role: Role | null;
  room: Room;
  bySeq: ReadonlyMap<number, Message>;
  onReply: (message: Message) => void;
}

function RowView({ row, mine, role, room, bySeq, onReply }: RowViewProps): JSX.Element {
  if (row.kind === 'day') {
    return (
      <h3 class="day">
        <span>{dayName(row.at)}</span>
      </h3>
    );
  }
  if (row.kind === 'unread') {
    return (
      <p class="unread-line" data-unread>
        <span>New messages</span>
      </p>
    );
  }
  return <MessageGroup group={row} mine={mine} role={role} room={room} bySeq={bySeq} onReply={onReply} />;
}
