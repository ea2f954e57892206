/** Renders docs/rooms.md from the table, so that it cannot drift. A test compares; `vitest -u` renews. */
import { limits } from './limits.ts';
import { actions, below, gives } from './permissions.ts';

export function renderRooms(): string {
  return `${[
    '<!-- Generated from src/protocol/permissions.ts and permissions-document.ts. Renew with: npm test -- -u -->',
    '# Rooms: kinds, roles, rights',
    kinds,
    '## Rights of each role',
    'In a direct room both users are plain members; either may leave it. The last column says whether the action is allowed while the room is archived.',
    table(
      ['action', '', 'direct', 'group', 'channel', 'archived'],
      Object.entries(actions).map(([name, { about, by, archived }]) => [
        `\`${name}\``,
        about,
        ...[by.direct, by.group, by.channel].map((roles) => (roles.length === 0 ? '–' : roles.join(', '))),
        archived ? 'yes' : 'no',
      ]),
    ),
    '`nobody`: a user who is not in the room, and not banned from it.',
    '## Over whom, and to what',
    'Removing, banning, muting and changing a role need a member of a role below. The last column has the roles that a user may give, by an invitation, a link, `room:invite` or `room:role`.',
    table(
      ['role', 'acts upon', 'gives'],
      Object.entries(below).map(([role, lower]) => [role, list(lower), list(gives[role as keyof typeof gives])]),
    ),
    rules,
  ].join('\n\n')}\n`;
}

const kinds = [
  '| kind | who gets in | who sees it |',
  '| --- | --- | --- |',
  '| `direct` | the user who opens it, and the other one after they accepted | both users |',
  '| `group` | users who are invited or added, or have a join link | its members; to others it does not exist |',
  '| `channel` | everybody who is not banned | everybody finds it; members read it |',
].join('\n');

const rules = [
  '## Rules',
  [
    '- A room has one owner. `room:transfer` makes another member the owner and the old one an admin. When the owner leaves, the member of the highest role who joined first follows. In a group with only guests this is a guest, because nobody else could come in. A user that joins a channel without members, or with guests alone, becomes its owner.',
    '- **Empty** rooms: a group that its last member leaves is deleted, and so is a channel without messages. Other channels are not listed while nobody is in them.',
    '- **Limits** (`PARLEY_MAX_ROOMS_PER_USER`) are three counts: rooms that a user made or joined, rooms that others added them to, and direct rooms that others opened. A room counts for its maker until it is deleted, and a day longer.',
    '- **Archived**: nothing is sent, edited, deleted, reacted to or pinned, nobody comes in and settings stay; reading, leaving, roles and bans go on.',
    '- **Muted**: a member sends, edits, reacts, signals, pins and invites nothing, makes no links and changes no settings until the mute ends. Deleting own messages stays allowed. A mute goes on when the member leaves and comes back. The role of admin or owner ends a mute.',
    '- **Slow mode**: members send one message in so many seconds, and edit one; the next is `rate_limited` with `retryAfter`. Leaving and coming back does not end the wait. Owners and admins are free of it.',
    '- **Senders** (`senders: "admins"`): owners and admins send and edit; members still react, and delete their own messages.',
    "- **Edit window** of a room takes the place of the server's; 0: authors may edit at any time. Owners and admins always may.",
    '- **Banned** users are removed, cannot join or accept, and cannot be invited or added until the ban is lifted. Their messages stay. Their invitations are deleted, as are those of a member who is removed or gets a lower role.',
    '- **Guests** who leave come back as guests, unless an owner or admin invites or adds them.',
    '- **Links** work only while their maker may make links. The token is shown once; the server keeps its hash.',
    `- **Invitations** end after ${limits.invitationDays} days. The invited user gets an event once a day at most, however often somebody invites. After a user declined, nobody may invite them to the room for ${limits.invitationRestDays} days.`,
    '- **Adding**: `room:invite` invites. With `PARLEY_ADDING=direct`, or from a back end whose token has the claim `"backend": true`, it adds a user without an invitation, to direct rooms too. A user who left the room, or has blocked the caller, is invited all the same.',
    '- **Blocks**: no invitation, mention or direct room by a blocked user reaches the user who blocked them, and this user does not see their presence. A mention of `@room` by the blocked user does not reach the user who blocked them. `mentions` and the counts of `unread` leave out all mentions by blocked users. The blocked user gets the answers that they got before. In a room that both share, the user who blocked them is offline since the moment of the block. The answers and the event are those of a user who went offline. Messages that the user writes there are still visible, and show that they are there.',
    '- **Deleted** rooms are gone at once for everybody; the stored rows are removed in the background, a batch at a time. Nobody can take the id for a year, so that no cursor of the old room fits a new one.',
  ].join('\n'),
].join('\n\n');

function list(roles: readonly string[]): string {
  return roles.length === 0 ? '–' : roles.join(', ');
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
