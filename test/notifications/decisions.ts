/** The table of decisions: tested by decide.test.ts, and printed in docs/notifications.md. */
import type { Decision, Facts } from '../../src/notifications/decide.ts';

/** A Monday at noon in UTC. */
export const noon = Date.UTC(2026, 10, 30, 12, 0);
const minuteMs = 60_000;

/** A fresh message of another member in a group, which mentions the user; the user is offline and has no wishes. */
export const usual: Facts = {
  channel: 'app',
  kind: 'mention',
  lane: 'high',
  roomKind: 'group',
  seq: 5,
  at: noon - 1000,
  isMember: true,
  hasBlocked: false,
  read: 4,
  devices: 0,
};

export interface Case {
  /** The difference from the usual case. */
  readonly when: string;
  readonly facts: Partial<Facts>;
  readonly decision: Decision;
}

const deliver: Decision = { act: 'deliver' };
const drop = (reason: Extract<Decision, { act: 'drop' }>['reason']): Decision => ({ act: 'drop', reason });
const quiet = [{ day: 'mon', from: '11:00', to: '13:00', zone: 'UTC' }] as const;
const push = { channel: 'push', devices: 1 } as const;
const mail = { channel: 'email', devices: 1 } as const;
const hour = noon + 60 * minuteMs;

export const decisions: readonly Case[] = [
  { when: 'A message mentions the user', facts: {}, decision: deliver },
  { when: 'The message is deleted', facts: { gone: 'deleted' }, decision: drop('deleted') },
  { when: 'The message has expired', facts: { gone: 'expired' }, decision: drop('expired') },
  { when: 'The notification has an end, and it has passed', facts: { expires: noon }, decision: drop('expired') },
  { when: 'The notification has an end in the future', facts: { expires: noon + 1 }, decision: deliver },
  { when: 'The user has left the room, was removed or is banned', facts: { isMember: false }, decision: drop('left') },
  { when: 'The user has blocked the sender', facts: { hasBlocked: true }, decision: drop('blocked') },
  { when: 'The user has read up to the message', facts: { read: 5 }, decision: drop('read') },
  { when: 'A push, and the user has no device', facts: { channel: 'push' }, decision: drop('no_device') },
  { when: 'A push, and the user has a device', facts: push, decision: deliver },
  {
    when: 'An e-mail, and the user has ended them',
    facts: { ...mail, isUnsubscribed: true },
    decision: drop('unsubscribed'),
  },
  {
    when: 'The user snoozes everything',
    facts: { ofUser: { snoozeUntil: hour } },
    decision: { act: 'until', at: hour, reason: 'snoozed' },
  },
  {
    when: 'The user snoozes the room, whose level is `none`',
    facts: { ofRoom: { snoozeUntil: hour, level: 'none' } },
    decision: { act: 'until', at: hour, reason: 'snoozed' },
  },
  { when: 'The snooze is over', facts: { ofUser: { snoozeUntil: noon } }, decision: deliver },
  { when: 'The room has the level `none`', facts: { ofRoom: { level: 'none' } }, decision: drop('muted') },
  {
    when: 'The room has the level `none`, and `all` for pushes; a push',
    facts: { ...push, ofRoom: { level: 'none', channels: { push: 'all' } } },
    decision: deliver,
  },
  {
    when: 'The room has the level `all`, and the user `none`; a message for nobody',
    facts: { kind: 'message', ofRoom: { level: 'all' }, ofUser: { level: 'none' } },
    decision: deliver,
  },
  {
    when: 'The room has the level `all`, and the user wants no such kind',
    facts: { kind: 'everybody', ofRoom: { level: 'all' }, ofUser: { kinds: { everybody: false } } },
    decision: deliver,
  },
  {
    when: 'The user wants no mentions of everybody, and has the level `all`',
    facts: { kind: 'everybody', ofUser: { kinds: { everybody: false }, level: 'all' } },
    decision: drop('level'),
  },
  {
    when: 'The user wants mentions, and has the level `none`',
    facts: { ofUser: { kinds: { mention: true }, level: 'none' } },
    decision: deliver,
  },
  { when: 'The user has the level `none`', facts: { ofUser: { level: 'none' } }, decision: drop('muted') },
  { when: 'A message for nobody, by default', facts: { kind: 'message' }, decision: drop('level') },
  {
    when: 'A message for nobody in a channel, and the user has the level `all`',
    facts: { kind: 'message', roomKind: 'channel', ofUser: { level: 'all' } },
    decision: deliver,
  },
  { when: 'A reply in a followed thread, by default', facts: { kind: 'thread' }, decision: deliver },
  { when: 'A message of a direct room, by default', facts: { kind: 'direct', roomKind: 'direct' }, decision: deliver },
  {
    when: 'A message of a direct room with the level `mentions`',
    facts: { kind: 'direct', roomKind: 'direct', ofRoom: { level: 'mentions' } },
    decision: drop('level'),
  },
  { when: 'An active connection shows the room', facts: { active: 'room' }, decision: drop('active') },
  { when: 'An active connection shows the room; a push', facts: { ...push, active: 'room' }, decision: drop('active') },
  { when: 'The user is active elsewhere', facts: { active: 'elsewhere' }, decision: deliver },
  {
    when: 'The user is active elsewhere; a push',
    facts: { ...push, active: 'elsewhere' },
    decision: { act: 'until', at: noon + 19_000, reason: 'active' },
  },
  {
    when: 'The user is active elsewhere, and the message is 20 s old; a push',
    facts: { ...push, active: 'elsewhere', at: noon - 20_000 },
    decision: deliver,
  },
  { when: 'A later push replaces this one', facts: { ...push, isReplaced: true }, decision: drop('collapsed') },
  {
    when: 'It is in the quiet hours of the user',
    facts: { ofUser: { quiet: [...quiet] } },
    decision: { act: 'until', at: hour, reason: 'quiet' },
  },
  {
    when: 'It is in the quiet hours, and the room has the level `all`',
    facts: { ofRoom: { level: 'all' }, ofUser: { quiet: [...quiet] } },
    decision: { act: 'until', at: hour, reason: 'quiet' },
  },
  {
    when: 'A critical message in quiet hours',
    facts: { lane: 'critical', ofUser: { quiet: [...quiet] } },
    decision: { act: 'until', at: hour, reason: 'quiet' },
  },
  {
    when: 'A critical message in quiet hours, and the user lets it through',
    facts: { lane: 'critical', ofUser: { quiet: [...quiet], criticalBreaksQuiet: true } },
    decision: deliver,
  },
  {
    when: 'Another message in quiet hours, and the user lets critical ones through',
    facts: { ofUser: { quiet: [...quiet], criticalBreaksQuiet: true } },
    decision: { act: 'until', at: hour, reason: 'quiet' },
  },
  { when: 'The channel had 120 notifications within a minute', facts: { lately: 120 }, decision: drop('rate') },
  { when: 'The channel had 119 notifications within a minute', facts: { lately: 119 }, decision: deliver },
  {
    when: 'An e-mail, and the user gathers them daily',
    facts: { ...mail, ofUser: { digest: 'daily' } },
    decision: { act: 'digest', reason: 'collapsed' },
  },
  { when: 'The user gathers e-mails daily', facts: { ofUser: { digest: 'daily' } }, decision: deliver },
];

function outcomeOf(decision: Decision): string {
  if (decision.act === 'deliver') return 'deliver';
  if (decision.act === 'digest') return `digest (\`${decision.reason}\`)`;
  if (decision.act === 'drop') return `drop: \`${decision.reason}\``;
  const later = decision.at - noon;
  return `wait ${later < minuteMs ? `${later / 1000} s` : `${later / minuteMs} min`}: \`${decision.reason}\``;
}

/** The table as Markdown, with columns of one width. */
export function decisionTable(): string {
  const rows = [['case', 'decision'], ...decisions.map(({ when, decision }) => [when, outcomeOf(decision)])] as [
    string,
    string,
  ][];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n');
}
