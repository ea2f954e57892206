import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { openThread } from '../client/threads.ts';
import type { Thread } from '../client/threads.ts';
import type { Message, RoomEntry } from '../client/index.ts';
import { Composer } from './composer.tsx';
import { dayName, midnight } from './dates.ts';
import { Failure, useAction } from './dialog.tsx';
import { useFollowed } from './followed.ts';
import { rowsOf } from './grouping.ts';
import type { Row } from './grouping.ts';
import { Icon } from './icons.tsx';
import { MessageGroup } from './message.tsx';
import { learnNames } from './people.ts';
import { titleOf } from './rooms.ts';
import { PlaceProvider, usePlace, useTalk } from './talk.ts';
import { repliesInWords } from './thread-chip.tsx';
import { useClient, useStore } from './use.ts';
import { useScroll } from './use-scroll.ts';

interface ThreadPanelProps {
  room: string;
  root: number;
  /** It lies over the room instead of beside it. */
  overlay: boolean;
  /** Why nothing can be written here, or undefined. */
  silence: string | undefined;
  onClose: () => void;
}

/** One thread beside its room. */
export function ThreadPanel({ room, root, overlay, silence, onClose }: ThreadPanelProps): JSX.Element {
  const client = useClient();
  const talk = useTalk();
  const [thread, setThread] = useState<Thread>();
  useEffect(() => {
    const opened = openThread(client, room, root);
    setThread(opened);
    return () => opened.close();
  }, [client, room, root]);
  const place = usePlace();
  const inside = useMemo(() => ({ ...place, inThread: true }), [place]);
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // Where nothing is written the field does not take it.
    if (overlay || silence !== undefined) close.current?.focus();
  }, []);
  return (
    <aside
      class={overlay ? 'thread overlay' : 'thread'}
      aria-label="Thread"
      // Escape in a dialog is the dialog's.
      onKeyDown={({ key, target }) =>
        key === 'Escape' && target instanceof Element && target.closest('dialog') === null && onClose()
      }
    >
      <header>
        <div class="thread-title">
          <h2>Thread</h2>
          <p class="muted small-text" dir="auto">
            {talk.entry === undefined ? room : titleOf(talk.entry)}
          </p>
        </div>
        {thread !== undefined && <Follow thread={thread} />}
        <button ref={close} class="icon-button" type="button" onClick={onClose} aria-label="Close the thread">
          <Icon name="close" />
        </button>
      </header>
      <PlaceProvider value={inside}>
        {thread?.root === root && thread.room.id === room && (
          <ThreadLog key={`${room} ${root}`} thread={thread} entry={talk.entry} silence={silence} />
        )}
      </PlaceProvider>
    </aside>
  );
}

function Follow({ thread }: { thread: Thread }): JSX.Element | null {
  const { root } = useStore(thread.state);
  const follows = useFollowed(thread.room.id, thread.root) !== undefined;
  const { busy, error, run } = useAction();
  // Before the first reply there is nothing to be told of.
  if (root?.thread === undefined) return null;
  return (
    <>
      <button
        class="button small"
        type="button"
        aria-pressed={follows}
        disabled={busy}
        title={follows ? 'You are told of new replies' : 'Be told of new replies'}
        onClick={() => run(() => (follows ? thread.unfollow() : thread.follow()))}
      >
        <Icon name={follows ? 'check' : 'bell'} size={16} />
        {follows ? 'Following' : 'Follow'}
      </button>
      <Failure error={error} />
    </>
  );
}

interface LogProps {
  thread: Thread;
  entry: RoomEntry | undefined;
  silence: string | undefined;
}

function ThreadLog({ thread, entry, silence }: LogProps): JSX.Element {
  const me = useClient().user.value ?? { id: '', name: null };
  const state = useStore(thread.state);
  const followed = useFollowed(thread.room.id, thread.root);
  const [replyTo, setReplyTo] = useState<Message>();
  const [unreadAfter] = useState(followed !== undefined && followed.unread > 0 ? followed.read : undefined);
  const { root, messages, outgoing } = state;
  learnNames([...(root === undefined ? [] : [root]), ...messages].map(({ from, name }) => ({ id: from, name })));
  const reading = useMemo(
    () => ({
      loadOlder: () => thread.loadOlder(),
      markRead: (seq?: number) => {
        if (followed !== undefined) thread.markRead(seq);
      },
    }),
    [thread, followed !== undefined],
  );
  const { scroller, content, away, missed, toLatest } = useScroll(reading, state, me.id);
  const rows = useMemo(() => {
    // What answers the root does so without a quotation: the root stands above.
    const bare = messages.map((one) => (one.replyTo === thread.root ? { ...one, replyTo: undefined } : one));
    const waiting = outgoing.map((one) =>
      one.input.replyTo === thread.root ? { ...one, input: { ...one.input, replyTo: undefined } } : one,
    );
    const all = rowsOf({ messages: bare, outgoing: waiting, me, unreadAfter });
    const [first] = all;
    const sameDay = first?.kind === 'day' && root !== undefined && midnight(root.at) === first.at;
    return sameDay ? all.slice(1) : all;
  }, [messages, outgoing, root?.at, me.id, unreadAfter]);
  const head = useMemo(() => (root === undefined ? [] : rowsOf(justOne(root))), [root]);
  const bySeq = useMemo(
    () => new Map([...(root === undefined ? [] : [root]), ...messages].map((message) => [message.seq, message])),
    [root, messages],
  );
  const row = (one: Row): JSX.Element =>
    one.kind === 'group' ? (
      <MessageGroup
        key={one.key}
        group={one}
        mine={one.from === me.id}
        role={entry?.role ?? null}
        room={thread.room}
        bySeq={bySeq}
        onReply={setReplyTo}
      />
    ) : one.kind === 'day' ? (
      <h3 class="day" key={one.key}>
        <span>{dayName(one.at)}</span>
      </h3>
    ) : (
      <p class="unread-line" data-unread key={one.key}>
        <span>New replies</span>
      </p>
    );
  return (
    <>
      <div class="log-place">
        <div
          ref={scroller}
          class="log"
          role="log"
          aria-label="Thread messages"
          aria-live="polite"
          aria-busy={state.loadingOlder}
          tabIndex={0}
        >
          <div ref={content} class="log-content">
            {state.status === 'loading' && messages.length === 0 && <p class="beginning muted">Loading…</p>}
            {state.status === 'gone' && <p class="beginning muted">{state.error?.message}</p>}
            {state.status === 'ready' && (
              <>
                {head.map(row)}
                {root === undefined && <p class="beginning muted">The first message is not kept any more.</p>}
                <p class="reply-line">
                  <span>{root?.thread?.replies ? repliesInWords(root.thread.replies) : 'No replies yet'}</span>
                </p>
                {state.hasOlder && <p class="beginning muted">Loading older replies…</p>}
              </>
            )}
            {rows.map(row)}
          </div>
        </div>
        {away && (
          <button class="to-latest" type="button" onClick={toLatest}>
            <Icon name="down" size={16} />
            {missed === 0 ? 'Latest' : `${missed} new`}
            <span class="sr-only"> – jump to the latest reply</span>
          </button>
        )}
      </div>
      {silence !== undefined ? (
        <p class="silence">{silence}</p>
      ) : (
        <Composer
          room={thread.room}
          thread={thread.root}
          title=""
          replyTo={replyTo}
          readOnly={false}
          onReplied={() => setReplyTo(undefined)}
        />
      )}
    </>
  );
}

function justOne(root: Message) {
  const rows = { messages: [root], outgoing: [], me: { id: '', name: null }, unreadAfter: undefined };
  return rows;
}
