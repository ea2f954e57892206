import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { RoomEntry } from '../../../client/index.ts';
import { allowNotifications, permission, stopNotifications } from './desktop-notifications.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { inboxOf, isUnread } from './inbox.ts';
import type { Notice } from './inbox.ts';
import { Invitations } from './invitations.tsx';
import { isMuted } from './preferences.ts';
import { MessageLink } from '../message-link.tsx';
import { nameOf } from '../members/people.ts';
import { RoomIcon } from '../room-icon.tsx';
import { titleOf } from '../rooms.ts';
import { addressOf, addressOfMessage } from '../route.ts';
import { summaryOf } from '../text/text.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

/** The bell counts unread notifications and invitations. */
export function Bell(): JSX.Element {
  const client = useClient();
  const rooms = useStore(client.rooms);
  const [open, setOpen] = useState(false);
  const { notices, invitations } = inboxOf(client);
  const muted = new Set(rooms.filter(isMuted).map(({ id }) => id));
  const fresh = notices.value.filter((notice) => isUnread(notice, rooms) && !muted.has(notice.room));
  const count = fresh.length + invitations.value.length;
  const label = count === 0 ? 'Notifications' : `Notifications, ${count} new`;
  return (
    <>
      <button
        class="icon-button bell"
        type="button"
        onClick={() => setOpen(true)}
        aria-label={label}
        title="Notifications"
      >
        <Icon name="bell" />
        {count > 0 && (
          <span class="bell-count" aria-hidden="true">
            {count > 99 ? '99+' : count}
          </span>
        )}
      </button>
      {open && <Notifications rooms={rooms} onClose={() => setOpen(false)} />}
    </>
  );
}

function Notifications({ rooms, onClose }: { rooms: readonly RoomEntry[]; onClose: () => void }): JSX.Element {
  const client = useClient();
  const inbox = inboxOf(client);
  const { busy, error, run } = useAction();
  // A deletion may have removed a message, and another device may have read some.
  useEffect(() => run(() => inbox.reload()), []);
  const unread = rooms.filter((room) => room.unread > 0 && !isMuted(room));
  const anyUnread = rooms.some((room) => room.unread > 0);
  const notices = inbox.notices.value;
  const invitations = inbox.invitations.value;
  const empty = invitations.length === 0 && notices.length === 0 && unread.length === 0;
  return (
    <Dialog title="Notifications" variant="inbox" onClose={onClose}>
      {/* Hidden and not removed: the event of an acceptance may come before its answer, which leads on to the room. */}
      <section aria-label="Invitations" hidden={invitations.length === 0}>
        <h3>Invitations</h3>
        <Invitations onAccepted={onClose} />
      </section>
      {unread.length > 0 && (
        <section aria-label="Unread">
          <h3>Unread</h3>
          <ul>
            {unread.map((room) => (
              <li key={room.id}>
                <a class="found-room" href={addressOf(room.id)} onClick={onClose}>
                  <RoomIcon room={room} size={30} />
                  <span class="picker-name" dir="auto">
                    {titleOf(room)}
                  </span>
                  <span class="badge">
                    {room.unread > 99 ? '99+' : room.unread}
                    <span class="sr-only"> unread</span>
                  </span>
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
      {notices.length > 0 && (
        <section aria-label="For you">
          <h3>For you</h3>
          <ul>
            {notices.map((notice) => (
              <li key={notice.id}>
                <NoticeLink notice={notice} rooms={rooms} onOpen={onClose} />
              </li>
            ))}
          </ul>
          {inbox.more.value && (
            <button class="button wide" type="button" disabled={busy} onClick={() => run(() => inbox.loadMore())}>
              Older
            </button>
          )}
        </section>
      )}
      {empty && <Empty />}
      <Failure error={error} />
      <footer class="inbox-foot">
        <OnThisDevice run={run} />
        {anyUnread && (
          <button class="button small" type="button" disabled={busy} onClick={() => run(() => inbox.markAllRead())}>
            <Icon name="check" size={16} /> Mark all as read
          </button>
        )}
      </footer>
    </Dialog>
  );
}

function Empty(): JSX.Element {
  return (
    <div class="inbox-empty">
      <Icon name="bell" size={32} />
      <p>
        <strong>Nothing new</strong>
      </p>
      <p class="muted small-text">Mentions of you, replies, invitations and unread conversations are listed here.</p>
    </div>
  );
}

interface NoticeLinkProps {
  notice: Notice;
  rooms: readonly RoomEntry[];
  onOpen: () => void;
}

function NoticeLink({ notice, rooms, onOpen }: NoticeLinkProps): JSX.Element {
  const { message, at, kind } = notice;
  const room = rooms.find(({ id }) => id === message.room);
  const title = room === undefined ? message.room : titleOf(room);
  return (
    <MessageLink
      href={addressOfMessage(message)}
      from={message.from}
      name={nameOf(message.from, message.name)}
      where={placeOf[kind](title)}
      at={at}
      fresh={isUnread(notice, rooms)}
      onOpen={onOpen}
    >
      {summaryOf(message)}
    </MessageLink>
  );
}

/** The place of a message, by the kind of its notification. */
const placeOf: Readonly<Record<Notice['kind'], (title: string) => string | undefined>> = {
  mention: (title) => title,
  everybody: (title) => `to all in ${title}`,
  direct: () => undefined,
  thread: (title) => `in a thread of ${title}`,
  message: (title) => title,
};

/** The setting for notifications while the page is hidden. */
export function OnThisDevice({ run }: { run: (action: () => Promise<void>) => void }): JSX.Element {
  const client = useClient();
  const { value } = permission;
  if (value === 'denied') return <p class="muted small-text">Your browser blocks notifications of this page.</p>;
  if (value === 'impossible') return <p class="muted small-text">This browser cannot notify you from here.</p>;
  return (
    <button
      class="button small plain"
      type="button"
      onClick={() => run(() => (value === 'on' ? stopNotifications(client) : allowNotifications(client)))}
    >
      <Icon name={value === 'on' ? 'quiet' : 'bell'} size={16} />{' '}
      {value === 'on' ? 'Stop notifying this device' : 'Notify this device'}
    </button>
  );
}
