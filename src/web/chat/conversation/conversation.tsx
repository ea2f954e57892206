import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message, RoomEntry } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { Composer } from '../composer/composer.tsx';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Members } from '../members/members.tsx';
import { RoomMessages } from './room-messages.tsx';
import { PinLine } from './pins.tsx';
import { learnMembers, learnNames } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { HeadTools, muteOf, RoomFlags, silenceOf, SlowNote } from './room-head.tsx';
import { messageRights } from '../rights.ts';
import { showList, showRoom } from '../route.ts';
import { MessageContextProvider, OpenRoomProvider } from './open-room.ts';
import { ThreadPanel } from '../threads/thread-panel.tsx';
import { TypingLine } from './typing-line.tsx';
import { useReceipts } from './use-receipts.ts';
import { useThreadPanel } from '../threads/use-thread-panel.ts';
import { useMutes } from '../members/use-mutes.ts';
import { roomOpened } from '../unsent-count.ts';
import { narrow, phone, useClient, useMatch, usePresence, useStore } from '../../ui/hooks.ts';

/** One room: beside the list, or alone on a phone. */
export function Conversation({ id }: { id: string }): JSX.Element {
  const client = useClient();
  const entry = useStore(client.rooms).find((room) => room.id === id);
  const room = client.room(id);
  useEffect(() => roomOpened(id), [id]);
  const state = useStore(room.state);
  const [replyTo, setReplyTo] = useState<Message>();
  const isNarrow = useMatch(narrow);
  const [wide] = useState(!isNarrow);
  // The kind is unknown just after the page is loaded, and never changes.
  const kind = useRef(entry?.kind);
  kind.current ??= entry?.kind;
  const [chosen, setShowMembers] = useState<boolean>();
  const showMembers = chosen ?? (wide && kind.current !== undefined && kind.current !== 'direct');
  const members = useMutes(id, useStore(room.members));
  learnMembers(members);
  learnNames(state.messages.map(({ from, name }) => ({ id: from, name })));
  const me = members.find(({ user }) => user === client.user.value?.id);
  const silence = silenceOf(entry, me);
  const silent = silence !== undefined;
  const muted = muteOf(entry, me) !== undefined;
  const receipts = useReceipts(id, members);
  const { thread, openThread, closeThread } = useThreadPanel();
  const openRoom = useMemo(
    () => ({ entry, room, members, receipts, thread }),
    [entry, room, members, receipts, thread],
  );
  const may = useMemo(
    () => messageRights(entry, silent, muted),
    [entry?.kind, entry?.role, entry?.archived, entry?.editWindow, silent, muted],
  );
  const messageContext = useMemo(() => ({ may, openThread, inThread: undefined }), [may, openThread]);
  const toggle = useRef<HTMLButtonElement>(null);
  const closeMembers = (): void => {
    setShowMembers(false);
    toggle.current?.focus();
  };

  return (
    <OpenRoomProvider value={openRoom}>
      <MessageContextProvider value={messageContext}>
        <main class="chat" aria-label="Conversation">
          <ConversationHead
            id={id}
            entry={entry}
            count={members.length}
            open={showMembers && thread === undefined}
            toggleRef={toggle}
            onToggle={() => (setShowMembers(thread !== undefined || !showMembers), closeThread())}
          />
          {state.status === 'gone' ? (
            <Gone id={id} reason={state.error?.message} />
          ) : (
            <>
              <PinLine room={id} />
              <RoomMessages room={room} entry={entry} onReply={setReplyTo} />
              <TypingLine users={state.typing} />
              <SlowNote room={entry} />
              {silence !== undefined && <p class="silence">{silence}</p>}
              {silence === undefined && (
                <Composer
                  key={id}
                  room={room}
                  title={entry === undefined ? id : titleOf(entry)}
                  replyTo={replyTo}
                  readOnly={false}
                  onReplied={() => setReplyTo(undefined)}
                />
              )}
            </>
          )}
        </main>
        {showMembers && thread === undefined && state.status !== 'gone' && (
          <Members id={id} entry={entry} members={members} overlay={isNarrow} onClose={closeMembers} />
        )}
        {thread !== undefined && state.status !== 'gone' && (
          <ThreadPanel room={id} root={thread} overlay={isNarrow} silence={silence} onClose={closeThread} />
        )}
      </MessageContextProvider>
    </OpenRoomProvider>
  );
}

const peerState: Record<string, string> = { true: 'Online', false: 'Offline', undefined: 'Direct messages' };

interface HeadProps {
  id: string;
  entry: RoomEntry | undefined;
  count: number;
  open: boolean;
  toggleRef: { current: HTMLButtonElement | null };
  onToggle: () => void;
}

function ConversationHead({ id, entry, count, open, toggleRef, onToggle }: HeadProps): JSX.Element {
  const onPhone = useMatch(phone);
  const heading = useRef<HTMLHeadingElement>(null);
  // On a phone the heading takes the focus. The keyboard for the field would cover half of the room.
  useEffect(() => {
    if (onPhone) heading.current?.focus();
  }, [id, onPhone]);
  const title = entry === undefined ? id : titleOf(entry);
  const online = usePresence(entry?.peer?.id);
  const isAlone = entry?.kind === 'direct' && entry.peer?.name === null && online === undefined;
  const about =
    entry?.kind !== 'direct'
      ? `${count} ${count === 1 ? 'member' : 'members'}`
      : isAlone
        ? 'Invited'
        : peerState[String(online)];
  return (
    <header class="chat-head">
      <button class="icon-button back" type="button" onClick={showList} aria-label="Back to the conversations">
        <Icon name="back" />
      </button>
      {entry?.kind === 'direct' ? (
        <Avatar id={entry.peer?.id ?? id} name={title} size={38} online={online} />
      ) : (
        <span class="room-sign">
          <Icon name={entry?.kind === 'group' ? 'group' : 'channel'} size={18} />
        </span>
      )}
      <div class="chat-title">
        <h2 ref={heading} tabIndex={-1} dir="auto">
          {title}
        </h2>
        <RoomFlags room={entry} />
        <p class="muted small-text chat-about" dir="auto">
          {count === 0 && entry?.kind !== 'direct' ? ' ' : about}
          {entry?.topic !== undefined && <span title={entry.topic}> · {entry.topic}</span>}
        </p>
      </div>
      <HeadTools room={entry} />
      <button
        ref={toggleRef}
        class="icon-button"
        type="button"
        aria-pressed={open}
        onClick={onToggle}
        aria-label="Members"
        title="Members"
      >
        <Icon name="group" />
      </button>
    </header>
  );
}

function Gone({ id, reason }: { id: string; reason: string | undefined }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const join = (): void =>
    run(
      () => client.joinRoom(id),
      (room) => showRoom(room.id),
    );
  return (
    <div class="hint">
      <p>{error === undefined ? (reason ?? 'This conversation does not exist any more.') : ''}</p>
      <Failure error={error} />
      <div class="buttons">
        <button class="button primary" type="button" disabled={busy} onClick={join}>
          Join
        </button>
        <button class="button" type="button" onClick={showList}>
          Back
        </button>
      </div>
    </div>
  );
}
