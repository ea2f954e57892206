import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { RoomEntry } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { ChannelDirectory } from './channel-directory.tsx';
import { shortTime } from '../../ui/dates.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon, Mark } from '../../ui/icons.tsx';
import { inboxOf, isUnread } from '../inbox/inbox.ts';
import { Invitations } from '../inbox/invitations.tsx';
import { isMuted } from '../inbox/preferences.ts';
import { NewRoom } from './new-room.tsx';
import { Bell } from '../inbox/inbox-dialog.tsx';
import { learnNames, nameOf } from '../members/people.ts';
import { RoomIcon } from '../room-icon.tsx';
import { titleOf } from '../rooms.ts';
import { isSearching, SearchField, SearchResults } from '../search/search.tsx';
import { addressOf, shownRoom } from '../route.ts';
import { endSession, session } from '../sign-in/session.ts';
import { summaryOf } from '../text/text.ts';
import { isDark, toggleTheme } from '../../ui/theme.ts';
import { Threads } from '../threads/threads.tsx';
import { useClient, usePresence, useStore } from '../../ui/hooks.ts';
import { UserSettings } from './user-settings.tsx';

export function Sidebar(): JSX.Element {
  const client = useClient();
  const me = useStore(client.user);
  // Mentions of this user are shown before any list of members is loaded.
  if (me !== undefined) learnNames([me]);
  const rooms = useStore(client.rooms);
  const [dialog, setDialog] = useState<'browse' | 'new'>();
  const open = rooms.filter(({ archived }) => archived === undefined);
  const shared = open.filter(({ kind }) => kind !== 'direct');
  const direct = open.filter(({ kind }) => kind === 'direct');
  const archived = rooms.filter((room) => room.archived !== undefined);
  const close = (): void => setDialog(undefined);
  return (
    <nav class="sidebar" aria-label="Conversations">
      <header class="sidebar-head">
        <Mark />
        <h1>parley</h1>
        <Bell />
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
      <SearchField />
      <div class="room-lists">
        {isSearching() ? (
          <SearchResults />
        ) : (
          <>
            <Threads />
            <Invited />
            <RoomSection title="Channels and groups" rooms={shared} hint="Join a channel, or create one." />
            <RoomSection
              title="Direct messages"
              rooms={direct}
              hint="Click on a person in a channel to write to them."
            />
            {archived.length > 0 && <RoomSection title="Archived" rooms={archived} hint="" />}
          </>
        )}
      </div>
      <Me />
      {dialog === 'browse' && <ChannelDirectory onClose={close} />}
      {dialog === 'new' && <NewRoom onClose={close} />}
    </nav>
  );
}

function Invited(): JSX.Element {
  const client = useClient();
  // Hidden and not removed: the event of an acceptance may come before its answer, which leads on to the room.
  return (
    <section aria-label="Invitations" hidden={inboxOf(client).invitations.value.length === 0}>
      <h2>Invitations</h2>
      <Invitations />
    </section>
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
  const muted = isMuted(room);
  return (
    <a
      class={`room-link${room.unread > 0 ? ' unread' : ''}${muted ? ' muted-room' : ''}`}
      href={addressOf(room.id)}
      aria-current={here ? 'page' : undefined}
      data-room={room.id}
    >
      <RoomIcon room={room} online={online} />
      <span class="room-title" dir="auto">
        {title}
      </span>
      {online !== undefined && <span class="sr-only">{online ? 'Online' : 'Offline'}</span>}
      {muted && <span class="sr-only">Muted</span>}
      <span class="room-time">
        {muted && <Icon name="quiet" size={14} />}
        {room.last === undefined ? '' : shortTime(room.last.at)}
      </span>
      <Preview room={room} />
      {room.unread > 0 && (
        <span class="badge">
          <Mentioned room={room} />
          {room.unread > 99 ? '99+' : room.unread}
          <span class="sr-only"> unread</span>
        </span>
      )}
    </a>
  );
}

const namesUser: ReadonlySet<string> = new Set(['mention', 'everybody']);

/** The room has an unread mention of this user. */
function Mentioned({ room }: { room: RoomEntry }): JSX.Element | null {
  const client = useClient();
  const { notices } = inboxOf(client);
  const meant = notices.value.some(
    (notice) => notice.room === room.id && namesUser.has(notice.kind) && isUnread(notice, [room]),
  );
  return meant ? (
    <>
      <span aria-hidden="true">@ </span>
      <span class="sr-only">You are mentioned. </span>
    </>
  ) : null;
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
  const [confirming, setConfirming] = useState(false);
  const [settings, setSettings] = useState(false);
  const signOut = (): void => (session.peek()?.guest === true ? setConfirming(true) : endSession());
  const theme = isDark.value ? 'Use the light theme' : 'Use the dark theme';
  return (
    <footer class="me">
      <Avatar id={user?.id ?? ''} name={name} size={34} />
      <span class="me-name" dir="auto">
        {name}
      </span>
      <button
        class="icon-button"
        type="button"
        onClick={() => setSettings(true)}
        aria-label="Your settings"
        title="Your settings"
      >
        <Icon name="settings" />
      </button>
      <button class="icon-button" type="button" onClick={toggleTheme} aria-label={theme} title={theme}>
        <Icon name={isDark.value ? 'sun' : 'moon'} />
      </button>
      <button class="icon-button" type="button" onClick={signOut} aria-label="Sign out" title="Sign out">
        <Icon name="leave" />
      </button>
      {settings && <UserSettings onClose={() => setSettings(false)} />}
      {confirming && <SignOut name={name} onClose={() => setConfirming(false)} />}
    </footer>
  );
}

function SignOut({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Sign out?" onClose={onClose}>
      <p class="muted">
        A guest cannot sign in again: nobody can come back as {name}. What {name} wrote stays.
      </p>
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Stay
        </button>
        <button class="button danger" type="button" onClick={() => endSession()}>
          Sign out
        </button>
      </div>
    </Dialog>
  );
}
