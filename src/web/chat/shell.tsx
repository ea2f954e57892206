import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Client } from '../../client/index.ts';
import { Banner } from './banner.tsx';
import { blocksOf } from './members/blocks.ts';
import { Conversation } from './conversation/conversation.tsx';
import { startNotifications } from './inbox/desktop-notifications.ts';
import { Mark } from '../ui/icons.tsx';
import { inboxOf } from './inbox/inbox.ts';
import { JoinByLink } from './join-by-link.tsx';
import { joinLink } from './join-link.ts';
import { loadMemberNames } from './members/load-member-names.ts';
import { followActivity } from '../../client/notifications.ts';
import { isMuted, loadPreferences } from './inbox/preferences.ts';
import { startWorker } from './inbox/push.ts';
import { enterGeneral, generalId } from './rooms.ts';
import { shownRoom, showRoom } from './route.ts';
import { listenForSearchKeys } from './search/search-state.ts';
import { loadFollowedThreads } from './threads/followed-threads.ts';
import { sendDeliveryMarks } from './delivery-marks.ts';
import { Sidebar } from './sidebar/sidebar.tsx';
import { Toast } from '../ui/toast.tsx';
import { phone, useClient, useMatch, useStore } from '../ui/hooks.ts';

export function Shell(): JSX.Element {
  const client = useClient();
  const rooms = useStore(client.rooms);
  const unread = rooms.reduce((sum, room) => sum + (isMuted(room) ? 0 : room.unread), 0);
  useServices();
  useEntrance();
  useEffect(() => {
    document.title = unread === 0 ? 'Parley' : `(${unread}) Parley`;
    // the number on the icon of an installed page; not every browser has one
    if ('setAppBadge' in navigator) navigator.setAppBadge(unread).catch(() => undefined);
  }, [unread]);
  const id = shownRoom.value;
  return (
    <div class="shell" data-at={id === undefined ? 'list' : 'room'}>
      <Banner />
      <Sidebar />
      {id === undefined ? <NoRoom /> : <Conversation key={id} id={id} />}
      {joinLink.value !== undefined && <JoinByLink />}
      <Toast />
    </div>
  );
}

/** The services that run while a user is signed in. */
function useServices(): void {
  const client = useClient();
  useEffect(() => {
    const stops = [
      loadPreferences(client),
      startWorker(),
      reportActivity(client),
      inboxOf(client).start(),
      blocksOf(client).start(),
      startNotifications(client),
      sendDeliveryMarks(client),
      loadFollowedThreads(client),
      loadMemberNames(client),
    ];
    return () => stops.forEach((stop) => stop());
  }, [client]);
  // Runs before the page is painted, because the user may press a key at once.
  useLayoutEffect(() => listenForSearchKeys(), [client]);
}

/** The server notifies nobody of a message on the screen, and other devices later. @returns a function that ends it */
function reportActivity(client: Client): () => void {
  const activity = followActivity(client);
  const stop = shownRoom.subscribe((room) => activity.show(room));
  return () => {
    stop();
    activity.close();
  };
}

/** Opens a room after the first connect: `general` on the first visit, the most recent room on a wide screen. */
function useEntrance(): void {
  const client = useClient();
  const onPhone = useMatch(phone);
  const state = useStore(client.state);
  const done = useRef(false);
  useEffect(() => {
    if (state.status !== 'connected' || done.current) return;
    done.current = true;
    void enterGeneral(client).then((first) => {
      if (shownRoom.value !== undefined) return;
      const recent = client.rooms.value[0]?.id;
      if (first) showRoom(generalId);
      else if (!onPhone && recent !== undefined) showRoom(recent);
    });
  }, [state.status]);
}

function NoRoom(): JSX.Element {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, []);
  return (
    <main class="chat empty-chat">
      {/* Not at once: mostly a room is about to be shown. */}
      {late && (
        <div class="hint">
          <Mark size={44} />
          <p>Choose a conversation, or start one.</p>
        </div>
      )}
    </main>
  );
}
