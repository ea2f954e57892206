import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { RoomEntry } from '../client/index.ts';
import { Avatar } from './avatar.tsx';
import { Browse } from './browse.tsx';
import { shortTime } from './dates.ts';
import { Icon, Mark } from './icons.tsx';
import { NewRoom } from './new-room.tsx';
import { nameOf } from './people.ts';
import { titleOf } from './rooms.ts';
import { shownRoom } from './route.ts';
import { endSession } from './session.ts';
import { summaryOf } from './text.ts';
import { isDark, toggleTheme } from './theme.ts';
import { useClient, usePresence, useStore } from './use.ts';

export function Sidebar(): JSX.Element {
  const client = useClient();
  const rooms = useStore(client.rooms);
  const [dialog, setDialog] = useState<'browse' | 'new'>();
  const shared = rooms.filter(({ kind }) => kind !== 'direct');
  const direct = rooms.filter(({ kind }) => kind === 'direct');
  const close = (): void => setDialog(undefined);
  return (
    <nav class="sidebar" aria-label="Conversations">
      <header class="sidebar-head">
        <Mark />
        <h1>parley</h1>
        <button
          class="icon-button"
          type="button"
          onClick={() => setDialog('browse')}
          aria-label="Browse channels"
          title="Browse channels"
        >
          <Icon name="compass" />
        </button>
        <button
          class="icon-button"
          type="button"
          onClick={() => setDialog('new')}
          aria-label="New channel or group"
          title="New channel or group"
        >
          <Icon name="plus" />
        </button>
      </header>
      <div class="room-lists">
        <RoomSection title="Channels and groups" rooms={shared} hint="Join a channel, or make one." />
        <RoomSection title="Direct messages" rooms={direct} hint="Click on a person in a channel to write to them." />
      </div>
      <Me />
      {dialog === 'browse' && <Browse onClose={close} />}
      {dialog === 'new' && <NewRoom onClose={close} />}
    </nav>
  );
}

function RoomSection({ title, rooms, hint }: { title: string; rooms: RoomEntry[]; hint: string }): JSX.Element {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {rooms.length === 0 && <p class="muted small-text">{hint}</p>}
      <ul>
        {rooms.map((room) => (
          <li key={room.id}>
            <RoomLink room={room} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function RoomLink({ room }: { room: RoomEntry }): JSX.Element {
  const here = shownRoom.value === room.id;
  const online = usePresence(room.peer?.id);
  const title = titleOf(room);
  return (
    <a
      class={room.unread > 0 ? 'room-link unread' : 'room-link'}
      href={`#/room/${encodeURIComponent(room.id)}`}
      aria-current={here ? 'page' : undefined}
      data-room={room.id}
    >
      <RoomSign room={room} online={online} />
      <span class="room-title" dir="auto">
        {title}
      </span>
      {online !== undefined && <span class="sr-only">{online ? 'Online' : 'Offline'}</span>}
      <span class="room-time">{room.last === undefined ? '' : shortTime(room.last.at)}</span>
      <Preview room={room} />
      {room.unread > 0 && (
        <span class="badge">
          {room.unread > 99 ? '99+' : room.unread}
          <span class="sr-only"> unread</span>
        </span>
      )}
    </a>
  );
}

function RoomSign({ room, online }: { room: RoomEntry; online: boolean | undefined }): JSX.Element {
  if (room.kind === 'direct')
    return <Avatar id={room.peer?.id ?? room.id} name={titleOf(room)} size={38} online={online} />;
  return (
    <span class="room-sign">
      <Icon name={room.kind === 'channel' ? 'channel' : 'group'} size={18} />
    </span>
  );
}

function Preview({ room }: { room: RoomEntry }): JSX.Element {
  const client = useClient();
  const { last } = room;
  if (last === undefined) return <span class="room-preview">{room.seq === 0 ? 'No messages yet' : ''}</span>;
  const mine = last.from === client.user.value?.id;
  const author = mine ? 'You' : nameOf(last.from, last.name);
  return (
    <span class="room-preview" dir="auto">
      {room.kind === 'direct' && !mine ? '' : `${author}: `}
      {summaryOf(last)}
    </span>
  );
}

function Me(): JSX.Element {
  const client = useClient();
  const user = useStore(client.user);
  const name = user?.name ?? user?.id ?? '…';
  const theme = isDark.value ? 'Use the light theme' : 'Use the dark theme';
  return (
    <footer class="me">
      <Avatar id={user?.id ?? ''} name={name} size={34} />
      <span class="me-name" dir="auto">
        {name}
      </span>
      <button class="icon-button" type="button" onClick={toggleTheme} aria-label={theme} title={theme}>
        <Icon name={isDark.value ? 'sun' : 'moon'} />
      </button>
      <button class="icon-button" type="button" onClick={() => endSession()} aria-label="Sign out" title="Sign out">
        <Icon name="leave" />
      </button>
    </footer>
  );
}
