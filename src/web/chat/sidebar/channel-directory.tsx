import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { limits } from '../../../client/index.ts';
import type { RoomSummary } from '../../../client/index.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { RoomIcon } from '../room-icon.tsx';
import { titleOf } from '../rooms.ts';
import { showRoom } from '../route.ts';
import { useClient, useStore } from '../../ui/hooks.ts';
import { usePages } from '../../ui/use-pages.ts';

const restMs = 250;

/** The open channels: all of them, or those with a matching name or topic. */
export function ChannelDirectory({ onClose }: { onClose: () => void }): JSX.Element {
  const client = useClient();
  const mine = useStore(client.rooms);
  const { busy, error, run } = useAction();
  const [text, setText] = useState('');
  const query = useRested(text.trim());
  const channels = usePages<RoomSummary>(query, async (after) => {
    const page =
      query === ''
        ? await client.listChannels(after)
        : await client.call('room:search', { query, ...(after !== undefined && { after }) });
    return { ...page, items: page.rooms };
  });

  const enter = (room: RoomSummary, member: boolean): void =>
    run(
      async () => void (member || (await client.joinRoom(room.id))),
      () => (onClose(), showRoom(room.id)),
    );

  const none = query === '' ? 'There are no open channels yet.' : `No channel has “${query}” in its name or topic.`;
  return (
    <Dialog title="Channels" variant="browse" onClose={onClose}>
      <search class="search-field">
        <Icon name="search" size={18} />
        <input
          type="text"
          autofocus
          placeholder="Find a channel"
          aria-label="Find a channel by its name or topic"
          autocomplete="off"
          spellcheck={false}
          maxLength={limits.searchLength}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </search>
      <p class="muted" role="status">
        {channels.items === undefined && channels.error === undefined && 'Loading…'}
        {channels.items?.length === 0 && none}
      </p>
      <ul class="picker">
        {channels.items?.map((room) => {
          const member = mine.some(({ id }) => id === room.id);
          const about = [
            ...(room.members === undefined ? [] : [`${room.members} ${room.members === 1 ? 'member' : 'members'}`]),
            ...(room.topic === undefined ? [] : [room.topic]),
          ].join(' · ');
          return (
            <li key={room.id}>
              <RoomIcon room={room} />
              <span class="picker-text">
                <span class="picker-name" dir="auto">
                  {titleOf(room)}
                </span>
                {about !== '' && (
                  <span class="muted small-text picker-name" dir="auto">
                    {about}
                  </span>
                )}
              </span>
              <button class="button small" type="button" disabled={busy} onClick={() => enter(room, member)}>
                {member ? 'Open' : 'Join'}
                <span class="sr-only"> {titleOf(room)}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {channels.more && (
        <button class="button wide" type="button" onClick={channels.loadMore}>
          More
        </button>
      )}
      <Failure error={error ?? channels.error} />
    </Dialog>
  );
}

/** The text after a pause in typing. */
function useRested(text: string): string {
  const [rested, setRested] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), restMs);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}
