/** The parts of a room's head besides its name: the buttons for settings and search, and the topic. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Member, RoomEntry } from '../../../client/index.ts';
import { inWords } from '../../ui/choices.ts';
import { Icon } from '../../ui/icons.tsx';
import { isMuted } from '../inbox/preferences.ts';
import { RoomSettings } from '../room-settings/room-settings.tsx';
import { openSearch } from '../search/search-state.ts';

export function HeadTools({ room }: { room: RoomEntry | undefined }): JSX.Element | null {
  const [open, setOpen] = useState(false);
  if (room === undefined) return null;
  return (
    <>
      <button
        class="icon-button"
        type="button"
        onClick={() => openSearch(room.id)}
        aria-label="Search in this room"
        title="Search in this room"
      >
        <Icon name="search" />
      </button>
      <button
        class="icon-button"
        type="button"
        onClick={() => setOpen(true)}
        aria-label="Room settings"
        title="Room settings"
      >
        <Icon name="settings" />
      </button>
      {open && <RoomSettings room={room} onClose={() => setOpen(false)} />}
    </>
  );
}

/** Marks beside the name: muted, archived. */
export function RoomFlags({ room }: { room: RoomEntry | undefined }): JSX.Element | null {
  if (room === undefined) return null;
  return (
    <>
      {isMuted(room) && <span class="flag" title="Notifications are off" children={<Icon name="quiet" size={15} />} />}
      {isMuted(room) && <span class="sr-only">, muted</span>}
      {room.archived !== undefined && <span class="tag">Archived</span>}
    </>
  );
}

/** The reason for which the user cannot write here, or undefined. */
export function silenceOf(room: RoomEntry | undefined, me: Member | undefined): string | undefined {
  if (room === undefined) return undefined;
  if (room.archived !== undefined) return 'This conversation is archived: you can read it, but not write.';
  if (room.role === 'guest') return 'You may read here, but not write.';
  if (room.senders === 'admins' && room.role === 'member') return 'Only the owner and admins write here.';
  const muted = muteOf(room, me);
  if (muted === undefined) return undefined;
  if (muted.until === null) return 'You are muted in this room.';
  return `You are muted in this room until ${new Date(muted.until).toLocaleString()}.`;
}

/** The mute of this user, if it is not over. */
export function muteOf(room: RoomEntry | undefined, me: Member | undefined): Member['muted'] {
  const muted = (me ?? room)?.muted;
  return muted === undefined || (muted.until !== null && muted.until <= Date.now()) ? undefined : muted;
}

/** A message that waits for its turn seems to get no answer, so this note explains the limit. */
export function SlowNote({ room }: { room: RoomEntry | undefined }): JSX.Element | null {
  if (room?.role !== 'member' || room.slowMode === undefined || room.slowMode === 0) return null;
  return <p class="composer-note muted">Slow mode: one message in {inWords(room.slowMode)}.</p>;
}
