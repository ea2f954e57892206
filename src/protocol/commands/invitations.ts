/** Invitations and join links. */
import { z } from 'zod';
import { aMember, aRoom, managing, newRole, pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { invitation, joinLink, linkId, roomId, roomSummary, userId } from '../model.ts';

export const invitationCommands = {
  'invitation:create': {
    about:
      `Invites a user, who may accept within ${limits.invitationDays} days. Inviting again renews the invitation; ` +
      'members renew one by somebody else without a change. The user gets `invitation`, once a day at most. After ' +
      `the user declined, nobody may invite them to the room for ${limits.invitationRestDays} days. At most ` +
      `${limits.roomInvitations.toLocaleString('en')} wait in a room, ${limits.userInvitations} for a user.`,
    kind: 'write',
    weight: 5,
    scope: 'members',
    http: { method: 'PUT', path: '/rooms/{room}/invitations/{user}', asOwner: true },
    input: aMember.extend({ role: newRole.default('member') }),
    output: z.object({ invitation }),
    errors: [...managing, 'conflict', 'limit_reached'],
  },
  'invitation:list': {
    about:
      'Invitations that wait for your answer, in the order of room ids. With `room` the answer has the invitations ' +
      'to that room, in the order of user ids, for users that may invite there. Pass `after` on for the next page.',
    kind: 'read',
    weight: 2,
    scope: 'members',
    http: [
      {
        method: 'GET',
        path: '/rooms/{room}/invitations',
        pages: { items: 'invitations', next: [{ from: 'after', to: 'after' }] },
        asOwner: true,
      },
      {
        method: 'GET',
        path: '/invitations',
        without: ['room'],
        pages: { items: 'invitations', next: [{ from: 'after', to: 'after' }] },
      },
    ],
    answer: 'list',
    input: z.object({ room: roomId.optional(), after: userId.optional(), limit: pageLimit }),
    output: z.object({
      invitations: z.array(invitation),
      after: z.string().nullable().describe('a room id, or with `room` a user id'),
      more: z.boolean(),
    }),
    errors: managing,
  },
  'invitation:accept': {
    about: 'Joins the room that you are invited to. The inviter gets `invitation`, the room `member`.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'PUT', path: '/invitations/{room}' },
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
  'invitation:decline': {
    about: `Declines an invitation. The inviter gets \`invitation\`. Nobody may invite you to the room for ${limits.invitationRestDays} days.`,
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/invitations/{room}' },
    input: aRoom,
    output: z.object({}),
    errors: ['not_found'],
  },
  'invitation:cancel': {
    about: 'Takes an invitation back; plain members may take back their own. The invited user gets `invitation`.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/rooms/{room}/invitations/{user}', asOwner: true },
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'link:create': {
    about:
      'Makes a join link. A user with the `token` may join by it. The link ends when it expires, is used up or ' +
      'revoked, or its maker may make no links any more. The token is in this answer and in no other. At most ' +
      `${limits.roomLinks} a room.`,
    kind: 'write',
    weight: 5,
    scope: 'members',
    http: { method: 'POST', path: '/rooms/{room}/links', status: 201, asOwner: true, secret: true },
    input: z.object({
      room: roomId,
      role: newRole.exclude(['admin']).default('member'),
      seconds: z.int().min(1).max(limits.linkSeconds).optional().describe('until it expires; without: never'),
      maxUses: z.int().min(1).max(limits.linkUses).optional().describe('without: any number'),
    }),
    output: z.object({ link: joinLink, token: z.string() }),
    errors: [...managing, 'limit_reached'],
  },
  'link:list': {
    about: 'The join links of a room, in id order.',
    kind: 'read',
    weight: 2,
    scope: 'members',
    http: {
      method: 'GET',
      path: '/rooms/{room}/links',
      pages: { items: 'links', next: [{ from: 'after', to: 'after' }] },
      asOwner: true,
    },
    answer: 'list',
    input: z.object({ room: roomId, after: linkId.optional(), limit: pageLimit }),
    output: z.object({ links: z.array(joinLink), after: linkId.nullable(), more: z.boolean() }),
    errors: managing,
  },
  'link:revoke': {
    about: 'Ends a join link. Users who joined by it stay.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/rooms/{room}/links/{id}', asOwner: true },
    input: z.object({ room: roomId, id: linkId }),
    output: z.object({}),
    errors: managing,
  },
  'link:join': {
    about: 'Joins a room by a link. For a member nothing changes, and the link is not used.',
    kind: 'write',
    weight: 5,
    scope: 'members',
    http: { method: 'POST', path: '/links/join' },
    input: z.object({ token: z.string().regex(/^[A-Za-z0-9_-]{32}$/, 'the token of a join link') }),
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
} as const satisfies Declarations;
