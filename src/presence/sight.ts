/**
 * What a viewer may learn of the presence of a user. A user who has blocked the viewer looks to them as a user who went offline
 * at the moment of the block: the same answers, the same event, as late. So the viewer cannot tell a block from an absence.
 */
import type { Standing } from './presence.ts';

/** none: they share no room, or the viewer has blocked the user. */
export type Sight = 'seen' | 'none' | Blocked;

export interface Blocked {
  /** Milliseconds since 1970, by the clock of Postgres. */
  readonly blockedAt: number;
  /** How long ago that was, in milliseconds. */
  readonly agoMs: number;
}

export interface Told {
  online: boolean;
  lastSeen?: number;
}

/** Absences shorter than this are not told. */
export const graceMs = 5000;

/** For an answer: who has just left counts as there, as those who watch have it. */
export function toldOf({ online, lastSeen, agoMs }: Standing): Told {
  if (online || (agoMs !== undefined && agoMs < graceMs)) return { online: true };
  return lastSeen === undefined ? { online: false } : { online: false, lastSeen };
}

/** @param rememberedMs how long presence keeps when a user was there last */
export function blockedStanding({ blockedAt: lastSeen, agoMs }: Blocked, rememberedMs: number): Standing {
  return agoMs > rememberedMs ? { online: false } : { online: false, lastSeen, agoMs };
}
