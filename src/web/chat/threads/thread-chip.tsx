import type { JSX } from 'preact';
import type { Message } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { fullTime, shortTime } from '../../ui/dates.ts';
import { useFollowedThread } from './followed-threads.ts';
import { knownName, nameOf } from '../members/people.ts';
import { useMessageContext, useOpenRoom } from '../conversation/open-room.ts';

const maxFaces = 3;

/** The link to a thread, below its root: the number of replies, their authors, and the time of the last one. */
export function ThreadChip({ message }: { message: Message }): JSX.Element | null {
  const { thread: open } = useOpenRoom();
  const { openThread } = useMessageContext();
  const followed = useFollowedThread(message.room, message.seq);
  const { thread } = message;
  if (thread === undefined || thread.replies === 0) return null;
  const unread = open === message.seq ? 0 : (followed?.unread ?? 0);
  return (
    <button
      class="thread-chip"
      type="button"
      aria-expanded={open === message.seq}
      data-thread={message.seq}
      onClick={() => openThread(message.seq)}
    >
      <span class="faces" aria-hidden="true">
        {thread.repliers.slice(0, maxFaces).map((id) => (
          <Avatar key={id} id={id} name={knownName(id) ?? nameOf(id)} size={20} />
        ))}
      </span>
      <strong>{repliesInWords(thread.replies)}</strong>
      <span class="thread-last" title={fullTime(thread.lastReplyAt)}>
        last {shortTime(thread.lastReplyAt)}
      </span>
      {unread > 0 && (
        <span class="badge">
          {unread}
          <span class="sr-only"> unread</span>
        </span>
      )}
    </button>
  );
}

export function repliesInWords(count: number): string {
  return count === 1 ? '1 reply' : `${count} replies`;
}
