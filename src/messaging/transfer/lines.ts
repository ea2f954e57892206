/** The lines of an export, one JSON object each: docs/export.md says what they mean and in which order they come. */
import { z } from 'zod';
import { emoji, instant, rev, role, roomId, roomKind, seq, userId } from '../../protocol/model.ts';

export const format = 1;
/** A body of 16 KiB takes more where its numbers are written out; nothing of ours comes near. */
export const maxLineBytes = 1024 * 1024;

const name = z.string().nullable();
const count = z.int().min(0);

export const line = z.discriminatedUnion('type', [
  z.object({ type: z.literal('export'), format: z.int(), at: instant, since: instant.nullable() }),
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
    at: instant,
    editedAt: instant.optional(),
    deletedAt: instant.optional(),
    changed: z.literal(true).optional(),
    /** Kinds of reactions: emoji, how many have it, the rev of its first. */
    reactions: z.array(z.tuple([emoji, z.int().min(1), rev])).optional(),
  }),
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
    type: z.literal('member'),
    user: userId,
    name,
    role,
    read: count,
    delivered: count,
    joinedAt: instant,
  }),
  z.object({
    type: z.literal('room:end'),
    id: roomId,
    messages: count,
    versions: count,
    reactions: count,
    members: count,
  }),
  z.object({ type: z.literal('end'), rooms: count, messages: count }),
]);

export type Line = z.output<typeof line>;
export type LineOf<T extends Line['type']> = Extract<Line, { type: T }>;
