/**
 * Whether a notification goes out now, later, in a digest or never, and for which reason. The function is pure: the table in
 * docs/notifications.md is made from its tests. The notifier calls the function for each recipient of a message, and each delivery calls the function again.
 *
 * Facts about the message and the recipient come first, then preferences. The first preference of this order that says
 * anything counts: snooze, room, kind, user, default.
 */
import type { Lane } from '../protocol/lanes.ts';
import type {
  Channel,
  Level,
  NotificationKind,
  NotificationReason,
  RoomPreferences,
  UserPreferences,
} from '../protocol/notifications.ts';
import { quietUntil } from './windows.ts';

export interface Facts {
  readonly channel: Channel;
  readonly kind: NotificationKind;
  readonly lane: Lane;
  readonly roomKind: 'direct' | 'group' | 'channel';
  readonly seq: number;
  /** The time of the message, in milliseconds since 1970. */
  readonly at: number;
  /** After this instant the notification is of no use. Undefined: the notification has no end. */
  readonly expires?: number | undefined;
  /** Undefined: the message is there. */
  readonly gone?: 'deleted' | 'expired' | undefined;
  readonly isMember: boolean;
  /** The recipient has blocked the sender. */
  readonly hasBlocked: boolean;
  /** The read mark of the recipient in the room. */
  readonly read: number;
  readonly ofRoom?: RoomPreferences | undefined;
  readonly ofUser?: UserPreferences | undefined;
  /** Whether an active connection of the user shows the room. Undefined: no connection is active. */
  readonly active?: 'room' | 'elsewhere' | undefined;
  /** Devices of the channel. The channel `app` needs none. */
  readonly devices: number;
  /** The user has ended the e-mails of the room. */
  readonly isUnsubscribed?: boolean;
  /** A later notification of the room replaces this one on the channel. */
  readonly isReplaced?: boolean;
  /** Notifications that the channel had for the user within the last minute. */
  readonly lately?: number;
}

export type Decision =
  | { readonly act: 'deliver' }
  | { readonly act: 'until'; readonly at: number; readonly reason: NotificationReason }
  | { readonly act: 'digest'; readonly reason: NotificationReason }
  | { readonly act: 'drop'; readonly reason: NotificationReason };

/** The time in which a user who is active elsewhere may read the message there. */
export const readingMs = 20_000;
/** Notifications of one user on one channel in a minute; more of them help nobody. */
export const mostPerMinute = 120;

const deliver: Decision = { act: 'deliver' };
const drop = (reason: NotificationReason): Decision => ({ act: 'drop', reason });
const until = (at: number, reason: NotificationReason): Decision => ({ act: 'until', at, reason });

export function decide(facts: Facts, now: number): Decision {
  return ofFacts(facts, now) ?? ofSnooze(facts, now) ?? ofLevel(facts) ?? ofTime(facts, now) ?? deliver;
}

/** Facts that no preference changes. */
function ofFacts(facts: Facts, now: number): Decision | undefined {
  if (facts.gone !== undefined) return drop(facts.gone);
  if (!facts.isMember) return drop('left');
  if (facts.hasBlocked) return drop('blocked');
  if (facts.read >= facts.seq) return drop('read');
  if (facts.expires !== undefined && facts.expires <= now) return drop('expired');
  if (facts.channel !== 'app' && facts.devices === 0) return drop('no_device');
  if (facts.isUnsubscribed === true) return drop('unsubscribed');
  return undefined;
}

function ofSnooze({ ofRoom, ofUser }: Facts, now: number): Decision | undefined {
  const end = Math.max(ofRoom?.snoozeUntil ?? 0, ofUser?.snoozeUntil ?? 0);
  return end > now ? until(end, 'snoozed') : undefined;
}

function ofLevel({ channel, kind, roomKind, ofRoom, ofUser }: Facts): Decision | undefined {
  const room = ofRoom?.channels?.[channel] ?? ofRoom?.level;
  if (room !== undefined) return ofOneLevel(room, kind);
  const isWanted = ofUser?.kinds?.[kind];
  if (isWanted !== undefined) return isWanted ? undefined : drop('level');
  return ofOneLevel(ofUser?.channels?.[channel] ?? ofUser?.level ?? defaultLevel(roomKind), kind);
}

function ofOneLevel(level: Level, kind: NotificationKind): Decision | undefined {
  if (level === 'none') return drop('muted');
  return level === 'all' || isPersonal(kind) ? undefined : drop('level');
}

/** Whether the level `mentions` lets a kind through. */
function isPersonal(kind: NotificationKind): boolean {
  return kind === 'mention' || kind === 'everybody' || kind === 'thread';
}

export function defaultLevel(roomKind: Facts['roomKind']): Level {
  return roomKind === 'direct' ? 'all' : 'mentions';
}

/** The moment: what the user does, quiet hours, and other notifications. */
function ofTime(facts: Facts, now: number): Decision | undefined {
  const { active, channel, ofUser, lane } = facts;
  if (active === 'room') return drop('active');
  if (facts.isReplaced === true) return drop('collapsed');
  const quiet = ofUser?.quiet === undefined ? undefined : quietUntil(ofUser.quiet, now);
  const breaksThrough = lane === 'critical' && ofUser?.criticalBreaksQuiet === true;
  if (quiet !== undefined && !breaksThrough) return until(quiet, 'quiet');
  // the connections get the notification themselves; other channels wait whether it is read there
  if (active === 'elsewhere' && channel !== 'app' && now < facts.at + readingMs) {
    return until(facts.at + readingMs, 'active');
  }
  if ((facts.lately ?? 0) >= mostPerMinute) return drop('rate');
  const digest = ofUser?.digest ?? 'off';
  if (channel === 'email' && digest !== 'off') return { act: 'digest', reason: 'collapsed' };
  return undefined;
}
