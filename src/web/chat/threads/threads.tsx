/** The followed threads: the number of unread ones, and their list. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { FollowedThread } from '../../../client/threads.ts';
import type { RoomEntry } from '../../../client/index.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { useFollowedThreads } from './followed-threads.ts';
import { Icon } from '../../ui/icons.tsx';
import { isMuted } from '../inbox/preferences.ts';
import { MessageLink } from '../message-link.tsx';
import { knownName, learnNames, nameOf } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { addressOfThread } from '../route.ts';
import { summaryOf } from '../text/text.ts';
import { repliesInWords } from './thread-chip.tsx';
import { useClient, useStore } from '../../ui/hooks.ts';

/** Shown above the conversations, as soon as the user follows a thread. */
export function Threads(): JSX.Element | null {
  const rooms = useStore(useClient().rooms);
  const [open, setOpen] = useState(false);
  // Threads of a room that was left cannot be read.
  const threads = useFollowedThreads().filter(({ room }) => rooms.some(({ id }) => id === room));
  const muted = new Set(rooms.filter(isMuted).map(({ id }) => id));
  const unread = threads.filter((thread) => thread.unread > 0 && !muted.has(thread.room)).length;
  if (threads.length === 0) return null;
  return (
    <>
      <button class="sidebar-entry" type="button" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        <Icon name="thread" size={18} />
        <span>Threads</span>
        {unread > 0 && (
          <span class="badge">
            {unread > 99 ? '99+' : unread}
            <span class="sr-only"> with unread replies</span>
          </span>
        )}
      </button>
      {open && <ThreadList threads={threads} rooms={rooms} onClose={() => setOpen(false)} />}
    </>
  );
}

interface ListProps {
  threads: readonly FollowedThread[];
  rooms: readonly RoomEntry[];
  onClose: () => void;
}

/** The number of threads that are shown at first, and that each click adds. */
const pageSize = 50;

function ThreadList({ threads, rooms, onClose }: ListProps): JSX.Element {
  const [shown, setShown] = useState(pageSize);
  learnNames(threads.flatMap(({ message }) => (message === null ? [] : [{ id: message.from, name: message.name }])));
  const sorted = threads.toSorted(byNews);
  return (
    <Dialog title="Threads" variant="inbox" onClose={onClose}>
      <ul class="thread-list">
        {sorted.slice(0, shown).map((thread) => (
          <li key={`${thread.room} ${thread.root}`}>
            <ThreadLink thread={thread} room={rooms.find(({ id }) => id === thread.room)} onOpen={onClose} />
          </li>
        ))}
      </ul>
      {sorted.length > shown && (
        <button class="button wide" type="button" onClick={() => setShown(shown + pageSize)}>
          More threads
        </button>
      )}
    </Dialog>
  );
}

/** Threads with unread replies come first, then the order is by the last reply. */
function byNews(a: FollowedThread, b: FollowedThread): number {
  return Number(b.unread > 0) - Number(a.unread > 0) || b.thread.lastReplyAt - a.thread.lastReplyAt;
}

interface LinkProps {
  thread: FollowedThread;
  room: RoomEntry | undefined;
  onOpen: () => void;
}

function ThreadLink({ thread: { room: id, root, message, thread, unread }, room, onOpen }: LinkProps): JSX.Element {
  const from = message?.from ?? '';
  const [last] = thread.repliers;
  const lastName = last === undefined ? undefined : knownName(last);
  return (
    <MessageLink
      href={addressOfThread(id, root)}
      from={from}
      name={message === null ? 'Somebody' : nameOf(from, message.name)}
      where={room === undefined ? id : titleOf(room)}
      at={thread.lastReplyAt}
      fresh={unread > 0}
      onOpen={onOpen}
      foot={
        <>
          {repliesInWords(thread.replies)}
          {lastName !== undefined && `, last from ${lastName}`}
          {unread > 0 && <span class="badge">{unread > 99 ? '99+ new' : `${unread} new`}</span>}
        </>
      }
    >
      {message === null ? <span class="muted">The first message has expired.</span> : summaryOf(message)}
    </MessageLink>
  );
}
