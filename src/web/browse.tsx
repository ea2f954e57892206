import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { RoomSummary } from '../client/index.ts';
import { Dialog, Failure, useAction } from './dialog.tsx';
import { Icon } from './icons.tsx';
import { titleOf } from './rooms.ts';
import { showRoom } from './route.ts';
import { useClient, useStore } from './use.ts';

export function Browse({ onClose }: { onClose: () => void }): JSX.Element {
  const client = useClient();
  const mine = useStore(client.rooms);
  const { busy, error, run } = useAction();
  const [channels, setChannels] = useState<RoomSummary[]>();
  const [next, setNext] = useState<string>();

  const load = (after?: string): void =>
    run(async () => {
      const page = await client.listChannels(after);
      setChannels((held) => [...(after === undefined ? [] : (held ?? [])), ...page.rooms]);
      setNext(page.more && page.after !== null ? page.after : undefined);
    });
  useEffect(() => load(), []);

  const enter = (room: RoomSummary, member: boolean): void =>
    run(async () => {
      if (!member) await client.joinRoom(room.id);
      onClose();
      showRoom(room.id);
    });

  return (
    <Dialog title="Channels" onClose={onClose}>
      {channels === undefined && error === undefined && <p class="muted">Looking…</p>}
      {channels?.length === 0 && <p class="muted">There are no open channels yet.</p>}
      <ul class="picker">
        {channels?.map((room) => {
          const member = mine.some(({ id }) => id === room.id);
          return (
            <li key={room.id}>
              <span class="room-sign">
                <Icon name="channel" size={18} />
              </span>
              <span class="picker-name" dir="auto">
                {titleOf(room)}
              </span>
              <button class="button small" type="button" disabled={busy} onClick={() => enter(room, member)}>
                {member ? 'Open' : 'Join'}
                <span class="sr-only"> {titleOf(room)}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {next !== undefined && (
        <button class="button wide" type="button" disabled={busy} onClick={() => load(next)}>
          More
        </button>
      )}
      <Failure error={error} />
    </Dialog>
  );
}
