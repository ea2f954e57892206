import { useEffect, useMemo, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { openThread } from '../../../client/threads.ts';
import type { Thread, ThreadState } from '../../../client/threads.ts';
import type { Message } from '../../../client/index.ts';
import { Composer } from '../composer/composer.tsx';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { useFollowedThread } from './followed-threads.ts';
import { Icon } from '../../ui/icons.tsx';
import { Timeline } from '../conversation/timeline.tsx';
import { Panel } from '../../ui/panel.tsx';
import { learnNames } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { wantedReply, wantedThread } from '../route.ts';
import { MessageContextProvider, useMessageContext, useOpenRoom } from '../conversation/open-room.ts';
import { repliesInWords } from './thread-chip.tsx';
import { useClient, useStore } from '../../ui/hooks.ts';

interface ThreadPanelProps {
  room: string;
  root: number;
  overlay: boolean;
  /** The reason for which the user cannot write here, or undefined. */
  silence: string | undefined;
  onClose: () => void;
}

/** One thread, beside its room. */
export function ThreadPanel({ room, root, overlay, silence, onClose }: ThreadPanelProps): JSX.Element {
  const client = useClient();
  const openRoom = useOpenRoom();
  const [thread, setThread] = useState<Thread>();
  useEffect(() => {
    const opened = openThread(client, room, root);
    setThread(opened);
    return () => opened.close();
  }, [client, room, root]);
  const messageContext = useMessageContext();
  const inside = useMemo(() => ({ ...messageContext, inThread: root }), [messageContext, root]);
  return (
    <Panel
      title="Thread"
      variant="thread"
      about={openRoom.entry === undefined ? room : titleOf(openRoom.entry)}
      tools={thread !== undefined && <Follow thread={thread} />}
      close="Close the thread"
      overlay={overlay}
      // Where nothing is written the field does not take it.
      takesFocus={silence !== undefined}
      onClose={onClose}
    >
      <MessageContextProvider value={inside}>
        {thread?.root === root && thread.room.id === room && (
          <ThreadTimeline key={`${room} ${root}`} thread={thread} silence={silence} />
        )}
      </MessageContextProvider>
    </Panel>
  );
}

function Follow({ thread }: { thread: Thread }): JSX.Element | null {
  const { root } = useStore(thread.state);
  const follows = useFollowedThread(thread.room.id, thread.root) !== undefined;
  const { busy, error, run } = useAction();
  // Before the first reply there are no notifications.
  if (root?.thread === undefined) return null;
  return (
    <>
      <button
        class="button small"
        type="button"
        aria-pressed={follows}
        disabled={busy}
        title={follows ? 'You get notifications of new replies' : 'Get notifications of new replies'}
        onClick={() => run(() => (follows ? thread.unfollow() : thread.follow()))}
      >
        <Icon name={follows ? 'check' : 'bell'} size={16} />
        {follows ? 'Following' : 'Follow'}
      </button>
      <Failure error={error} />
    </>
  );
}

/** Unread replies are counted only in followed threads. */
const unfollowed = { read: 0, unread: 0 };

const bares = new WeakMap<Message, Message>();

/** The same object each time, so that an unchanged reply is not rendered again. */
function bareOf(message: Message, root: number): Message {
  if (message.replyTo !== root) return message;
  const { replyTo: _, ...rest } = message;
  const bare = bares.get(message) ?? rest;
  bares.set(message, bare);
  return bare;
}

interface ThreadTimelineProps {
  thread: Thread;
  silence: string | undefined;
}

function ThreadTimeline({ thread, silence }: ThreadTimelineProps): JSX.Element {
  const state = useStore(thread.state);
  const followed = useFollowedThread(thread.room.id, thread.root);
  const [replyTo, setReplyTo] = useState<Message>();
  const { root, messages, outgoing, status } = state;
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
  // Replies to the root have no quotation, because the root is above them.
  const bare = useMemo(
    () => ({
      messages: messages.map((one) => bareOf(one, thread.root)),
      outgoing: outgoing.map((one) =>
        one.input.replyTo === thread.root ? { ...one, input: { ...one.input, replyTo: undefined } } : one,
      ),
    }),
    [messages, outgoing],
  );
  return (
    <>
      <Timeline
        name="Thread messages"
        one="reply"
        many="replies"
        room={thread.room}
        reading={reading}
        state={{ ...state, ...bare }}
        mark={followed ?? unfollowed}
        wanted={wantedThread.value === thread.root ? wantedReply.value : undefined}
        head={status === 'ready' ? root : undefined}
        onReply={setReplyTo}
      >
        <Beginning state={state} />
      </Timeline>
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

/** The line between the root and its replies. */
function Beginning({ state: { status, root, messages, hasOlder, error } }: { state: ThreadState }): JSX.Element | null {
  if (status === 'loading') return messages.length === 0 ? <p class="beginning muted">Loading…</p> : null;
  if (status === 'gone') return <p class="beginning muted">{error?.message}</p>;
  if (status === 'closed') return null;
  return (
    <>
      {root === undefined && <p class="beginning muted">The first message has expired.</p>}
      <p class="log-line reply-line">
        <span>{root?.thread?.replies ? repliesInWords(root.thread.replies) : 'No replies yet'}</span>
      </p>
      {hasOlder && <p class="beginning muted">Loading older replies…</p>}
    </>
  );
}
