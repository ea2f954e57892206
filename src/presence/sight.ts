/**
 * The presence of a user, as far as a viewer may learn it. A user who has blocked the viewer appears as a user who went
 * offline at the moment of the block. The answers are the same, and the event comes as late. So the viewer cannot distinguish a block from an absence.
 */
import type { UserPresence } from './presence.ts';

/** none: they share no room, or the viewer has blocked the user. */
export type Sight = 'seen' | 'none' | Blocked;

export interface Blocked {
  /** Milliseconds since 1970, by the clock of Postgres. */
  readonly blockedAt: number;
  /** How long ago that was, in milliseconds. */
  readonly agoMs: number;
}

/** The presence of a user as a viewer sees it: in answers and in `presence` events. */
export interface VisiblePresence {
  online: boolean;
  lastSeen?: number;
}

/** Absences shorter than this are not visible. */
export const graceMs = 5000;

/** A user who has just left is still online, in answers as in the events to watchers. */
export function visiblePresence({ online, lastSeen, agoMs }: UserPresence): VisiblePresence {
  if (online || (agoMs !== undefined && agoMs < graceMs)) return { online: true };
  return lastSeen === undefined ? { online: false } : { online: false, lastSeen };
}

/** @param rememberedMs how long presence keeps the moment at which a user was there last */
export function presenceOfBlocker({ blockedAt: lastSeen, agoMs }: Blocked, rememberedMs: number): UserPresence {
  return agoMs > rememberedMs ? { online: false } : { online: false, lastSeen, agoMs };
}
