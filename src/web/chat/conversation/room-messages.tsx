import type { JSX } from 'preact';
import type { Message, Room, RoomEntry } from '../../../client/index.ts';
import { Timeline } from './timeline.tsx';
import { wantedMessage } from '../route.ts';
import type { TimelineState } from './use-scroll.ts';
import { useStore } from '../../ui/hooks.ts';

interface RoomMessagesProps {
  room: Room;
  entry: RoomEntry | undefined;
  onReply: (message: Message) => void;
}

export function RoomMessages({ room, entry, onReply }: RoomMessagesProps): JSX.Element {
  const state = useStore(room.state);
  return (
    <Timeline
      name="Messages"
      one="message"
      many="messages"
      room={room}
      reading={room}
      state={state}
      // A list from the store has an outdated number of unread messages, and new ones may still be on their way.
      mark={entry !== undefined && room.cursor >= entry.rev ? entry : undefined}
      wanted={wantedMessage.value}
      onReply={onReply}
    >
      <p class="beginning muted">{beginningOf(state)}</p>
    </Timeline>
  );
}

function beginningOf({ status, messages, hasOlder }: TimelineState): string {
  if (status === 'loading' && messages.length === 0) return 'Loading…';
  if (hasOlder) return 'Loading older messages…';
  return messages.length === 0 ? 'Nothing here yet. Say hello.' : 'This is where the conversation began.';
}
