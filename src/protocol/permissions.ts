/**
 * The rights of roles: the one table of kinds and roles. Commands decide by it (`may`). The SQL functions that check and write
 * in one statement get their part of it (`rightsOf`). `docs/rooms.md` prints it. `append_messages` and `change_messages`,
 * which every message passes, have their rights written out; a test runs every role through every action and compares.
 */
import type { Role, RoomKind } from './model.ts';

/** `nobody`: a user who is not in the room. */
export type RoleOrNobody = Role | 'nobody';

interface Action {
  readonly about: string;
  /** Roles that may, by kind of room. */
  readonly by: Readonly<Record<RoomKind, readonly RoleOrNobody[]>>;
  /** Whether it may be done while the room is archived. */
  readonly archived: boolean;
  /** False: a muted member may not, because others would receive it like a message. */
  readonly muted?: false;
}

const all = ['owner', 'admin', 'member', 'guest'] as const;
const writers = ['owner', 'admin', 'member'] as const;
const admins = ['owner', 'admin'] as const;
const owner = ['owner'] as const;
const none = [] as const;
/** Both users of a direct room are plain members. */
const both = ['member'] as const;

const managed = (roles: readonly RoleOrNobody[], archived: boolean): Pick<Action, 'by' | 'archived'> => ({
  by: { direct: none, group: roles, channel: roles },
  archived,
});

export const actions = {
  read: {
    about: 'read messages, members and settings, receive events',
    by: { direct: both, group: all, channel: all },
    archived: true,
  },
  mark: { about: 'move the own read mark', by: { direct: both, group: all, channel: all }, archived: true },
  signal: { about: 'signals, such as typing', by: { direct: both, group: writers, channel: writers }, archived: true },
  send: { about: 'send messages', by: { direct: both, group: writers, channel: writers }, archived: false },
  react: { about: 'react to messages', by: { direct: both, group: writers, channel: writers }, archived: false },
  own: {
    about: 'edit and delete own messages',
    by: { direct: both, group: writers, channel: writers },
    archived: false,
  },
  moderate: { about: "edit and delete others' messages", ...managed(admins, false) },
  pin: {
    about: 'pin and unpin messages',
    by: { direct: both, group: admins, channel: admins },
    archived: false,
    muted: false,
  },
  versions: { about: 'read the earlier bodies of a message', ...managed(admins, true) },
  join: { about: 'join by themselves', by: { direct: none, group: none, channel: ['nobody'] }, archived: false },
  leave: { about: 'leave', by: { direct: both, group: all, channel: all }, archived: true },
  invite: {
    about: 'invite users, who may accept',
    by: { direct: none, group: admins, channel: writers },
    archived: false,
    muted: false,
  },
  invitations: {
    about: 'list invitations and take them back; members only their own',
    by: { direct: none, group: admins, channel: writers },
    archived: true,
  },
  add: { about: 'add members directly', ...managed(admins, false), muted: false },
  link: { about: 'make join links', ...managed(admins, false), muted: false },
  links: { about: 'list join links and revoke them', ...managed(admins, true) },
  role: { about: 'change roles', ...managed(admins, true) },
  remove: { about: 'remove members', ...managed(admins, true) },
  mute: { about: 'mute members', ...managed(admins, true) },
  ban: { about: 'ban users, list and lift bans', ...managed(admins, true) },
  update: {
    about: 'change name, topic, slow mode, senders, edit window',
    ...managed(admins, false),
    muted: false,
  },
  retention: { about: 'change how long messages are kept', ...managed(owner, false) },
  archive: { about: 'archive and unarchive', ...managed(admins, true) },
  transfer: { about: 'make another member the owner', ...managed(owner, true) },
  delete: { about: 'delete the room', ...managed(owner, true) },
} as const satisfies Record<string, Action>;

export type ActionName = keyof typeof actions;

/**
 * Whom one may act upon: the roles below one's own. The same roles are those that one may give, but that a member who may
 * invite gives theirs: an invitation lifts nobody over the inviter.
 */
export const below: Readonly<Record<Role, readonly Role[]>> = {
  owner: ['admin', 'member', 'guest'],
  admin: ['member', 'guest'],
  member: [],
  guest: [],
};
export const gives: Readonly<Record<Role, readonly Role[]>> = { ...below, member: ['member', 'guest'] };

/** Whether the role may do this in a room of the kind. */
export function may(action: ActionName, kind: RoomKind, role: RoleOrNobody): boolean {
  const roles: readonly RoleOrNobody[] = actions[action].by[kind];
  return roles.includes(role);
}

/** The roles that may do this in any kind of room. */
export function rolesFor(action: ActionName): Role[] {
  const { by } = actions[action];
  const roles: readonly RoleOrNobody[] = [...by.direct, ...by.group, ...by.channel];
  return all.filter((role) => roles.includes(role));
}

/** The rights that a SQL function decides an action by, as JSON text: migrations/functions/enter_room.sql says how. */
export function rightsOf(action: ActionName): string {
  return texts[action];
}

const texts = Object.fromEntries(
  Object.entries<Action>(actions).map(([name, { by, archived, muted = true }]) => [
    name,
    JSON.stringify({ may: by, archived, muted, below, gives }),
  ]),
) as Record<ActionName, string>;
