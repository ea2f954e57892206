/** Rooms: consent, how many there may be, and their guests. */
import { number, oneOf } from '../values.ts';
import { key } from './key.ts';

export const roomKeys = {
  adding: key(
    'PARLEY_ADDING',
    'How `room:invite`, and `room:create` of a direct room, bring a user into a room. `consent`: the user gets an invitation, and accepts or declines. `direct`: the user becomes a member without consent, for a closed installation. Tokens with `"backend": true` always add users.',
    oneOf('consent', 'direct'),
    'consent',
  ),
  maxRoomsPerUser: key(
    'PARLEY_MAX_ROOMS_PER_USER',
    'Rooms that one user may create or join. Other users may add the user to as many again, and may open as many direct rooms with the user.',
    number(1, 1_000_000),
    '5000',
  ),
  maxMembersPerRoom: key('PARLEY_MAX_MEMBERS_PER_ROOM', 'Members of one room.', number(2, 10_000_000), '100000'),
  guestsPerMinute: key(
    'PARLEY_GUESTS_PER_MINUTE',
    'Guest tokens per minute for one IP address (IPv6: one /64), in the embedded demo.',
    number(1, 1_000_000),
    '30',
  ),
} as const;
