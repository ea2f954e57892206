/** The lines of an export, one JSON object each: docs/export.md says what they mean and in which order they come. */
import { z } from 'zod';
import { limits } from '../protocol/limits.ts';
import { emoji, instant, rev, role, roomId, roomKind, seq, userId } from '../protocol/model.ts';

/**
 * Format 1 had no settings, threads, mentions, pins, bans, mutes, invitations and links, format 2 no departures and blocks; both
 * are still read.
 */
export const format = 3;
/** A body of 16 KiB takes more where its numbers are written out; no line of an export comes near. */
export const maxLineBytes = 1024 * 1024;

const name = z.string().nullable();
const count = z.int().min(0);
/** Absent in files of earlier formats. */
const counted = count.default(0);
const inviteRole = z.enum(['admin', 'member', 'guest']);
/** Until when; null: until it is lifted. */
const until = instant.nullable();

export const line = z.discriminatedUnion('type', [
  z.object({ type: z.literal('export'), format: z.int(), at: instant, since: instant.nullable() }),
  /** Outside of rooms. A user has blocked another. */
  z.object({ type: z.literal('block'), user: userId, blocked: userId, at: instant }),
  z.object({
    type: z.literal('room'),
    id: roomId,
    kind: roomKind,
    name,
    createdBy: userId,
    createdAt: instant,
    /** The first message that is in the file or would be. */
    first: seq,
    seq: count,
    rev,
    retentionDays: z.int().min(1).nullable(),
    topic: z.string().max(limits.roomTopicLength).optional(),
    archivedAt: instant.optional(),
    slowMode: z.int().min(1).max(limits.slowModeSeconds).optional(),
    senders: z.literal('admins').optional(),
    editWindow: z.int().min(0).max(limits.editWindowSeconds).optional(),
  }),
  z.object({ type: z.literal('user'), id: userId, name }),
  z.object({
    type: z.literal('message'),
    seq,
    rev: rev.min(1),
    id: z.uuid(),
    from: userId,
    body: z.unknown(),
    replyTo: seq.optional(),
    /** For an answer to an answer the root of its thread. */
    thread: seq.optional(),
    at: instant,
    editedAt: instant.optional(),
    deletedAt: instant.optional(),
    changed: z.literal(true).optional(),
    pinnedAt: instant.optional(),
    pinnedBy: userId.optional(),
    /** Kinds of reactions: emoji, how many have it, the rev of its first. */
    reactions: z.array(z.tuple([emoji, z.int().min(1), rev])).optional(),
  }),
  /** A message that expired between others that are kept: its seq, and the time of its place. */
  z.object({ type: z.literal('expired'), seq, at: instant }),
  z.object({
    type: z.literal('version'),
    seq,
    rev: rev.describe('of the message'),
    version: z.int().min(1),
    body: z.unknown(),
    by: userId,
    at: instant,
  }),
  z.object({ type: z.literal('reaction'), seq, rev: rev.describe('of the message'), user: userId, emoji, at: instant }),
  z.object({
    type: z.literal('mention'),
    seq,
    rev: rev.describe('of the message'),
    /** `*`: everybody. */
    user: z.union([z.literal('*'), userId]),
    /** For a mention of everybody the user who edited it into the message of another user. */
    by: userId.optional(),
    at: instant,
  }),
  z.object({ type: z.literal('follow'), root: seq, user: userId, read: count, at: instant }),
  z.object({
    type: z.literal('ban'),
    user: userId,
    by: userId,
    reason: z.string().max(limits.banReasonLength).nullable(),
    at: instant,
  }),
  z.object({ type: z.literal('mute'), user: userId, until }),
  z.object({
    type: z.literal('departure'),
    user: userId,
    /** When they left; null: they were removed or banned. */
    left: instant.nullable(),
    /** Their last message, for slow mode. */
    sent: instant.optional(),
    /** They were a guest. */
    guest: z.literal(true).optional(),
  }),
  z.object({
    type: z.literal('invitation'),
    user: userId,
    role: inviteRole,
    by: userId,
    at: instant,
    expires: instant,
  }),
  z.object({
    type: z.literal('link'),
    id: z.string().min(1).max(64),
    /** SHA-256 of its token, in hex. */
    hash: z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hex'),
    role: inviteRole,
    by: userId,
    at: instant,
    expires: instant.nullable(),
    maxUses: z.int().min(1).nullable(),
    uses: count,
  }),
  z.object({
    type: z.literal('member'),
    user: userId,
    name,
    role,
    read: count,
    delivered: count,
    joinedAt: instant,
    muted: z.object({ until }).optional(),
  }),
  z.object({
    type: z.literal('room:end'),
    id: roomId,
    messages: count,
    versions: count,
    reactions: count,
    members: count,
    mentions: counted,
    follows: counted,
    bans: counted,
    mutes: counted,
    departures: counted,
    invitations: counted,
    links: counted,
    expired: counted,
  }),
  z.object({ type: z.literal('end'), rooms: count, messages: count, blocks: counted }),
]);

/** The counts of `room:end`, and their lines. */
export const countedLines = {
  message: 'messages',
  version: 'versions',
  reaction: 'reactions',
  mention: 'mentions',
  follow: 'follows',
  ban: 'bans',
  mute: 'mutes',
  departure: 'departures',
  invitation: 'invitations',
  link: 'links',
  member: 'members',
  expired: 'expired',
} as const;
export type CountedLine = keyof typeof countedLines;
export type Counts = Record<(typeof countedLines)[CountedLine], number>;
export const noCounts = (): Counts => ({
  messages: 0,
  versions: 0,
  reactions: 0,
  mentions: 0,
  follows: 0,
  bans: 0,
  mutes: 0,
  departures: 0,
  invitations: 0,
  links: 0,
  members: 0,
  expired: 0,
});

export type Line = z.output<typeof line>;
export type LineOf<T extends Line['type']> = Extract<Line, { type: T }>;
