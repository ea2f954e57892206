import type { JSX } from 'preact';
import type { RoomSummary } from '../../client/index.ts';
import { Avatar } from '../ui/avatar.tsx';
import { Icon } from '../ui/icons.tsx';
import { titleOf } from './rooms.ts';

interface RoomIconProps {
  room: Pick<RoomSummary, 'id' | 'kind' | 'name' | 'peer'>;
  size?: number;
  online?: boolean | undefined;
}

/** The icon before a room's name: the other user's avatar in a direct room, a symbol otherwise. */
export function RoomIcon({ room, size = 38, online }: RoomIconProps): JSX.Element {
  if (room.kind === 'direct')
    return <Avatar id={room.peer?.id ?? room.id} name={titleOf(room)} size={size} online={online} />;
  const style = { width: `${size}px`, height: `${size}px` };
  return (
    <span class="room-sign" style={style}>
      <Icon name={room.kind === 'channel' ? 'channel' : 'group'} size={Math.round(size * 0.47)} />
    </span>
  );
}
