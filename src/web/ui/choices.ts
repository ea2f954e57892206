/** The lengths of time that a room's settings offer, in words. */

export interface Choice {
  readonly value: number | undefined;
  readonly label: string;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

export const slowModes: readonly Choice[] = [
  { value: undefined, label: 'Off' },
  ...[5, 10, 30, minute, 5 * minute, 15 * minute, hour, 6 * hour].map(every),
];
export const editWindows: readonly Choice[] = [
  { value: undefined, label: 'Server default' },
  { value: 0, label: 'Forever' },
  ...[5 * minute, 15 * minute, hour, day, 7 * day].map(lasting),
];
export const retentions: readonly Choice[] = [
  { value: undefined, label: 'Forever' },
  ...[1, 7, 30, 90, 365].map((days) => ({ value: days, label: inDays(days) })),
];
export const muteTimes: readonly Choice[] = [
  ...[15 * minute, hour, day, 7 * day].map(lasting),
  { value: undefined, label: 'Until unmuted' },
];
export const linkTimes: readonly Choice[] = [
  ...[hour, day, 7 * day, 30 * day].map(lasting),
  { value: undefined, label: 'Never' },
];
export const linkUses: readonly Choice[] = [
  { value: undefined, label: 'Anybody' },
  { value: 1, label: 'One person' },
  ...[5, 25, 100].map((uses) => ({ value: uses, label: `${uses} people` })),
];

/** Adds the present value, which another program may have set. */
export function withPresent(choices: readonly Choice[], value: number | undefined, unit: 's' | 'days'): Choice[] {
  const known = choices.some((choice) => choice.value === value);
  if (known || value === undefined) return [...choices];
  return [...choices, { value, label: unit === 'days' ? inDays(value) : inWords(value) }];
}

export function labelOf(choices: readonly Choice[], value: number | undefined, unit: 's' | 'days'): string {
  return withPresent(choices, value, unit).find((choice) => choice.value === value)?.label ?? '';
}

function every(seconds: number): Choice {
  return { value: seconds, label: `One message in ${inWords(seconds)}` };
}

function lasting(seconds: number): Choice {
  return { value: seconds, label: inWords(seconds) };
}

function inDays(days: number): string {
  return count(days, 'day');
}

export function inWords(seconds: number): string {
  if (seconds % day === 0) return count(seconds / day, 'day');
  if (seconds % hour === 0) return count(seconds / hour, 'hour');
  return seconds % minute === 0 ? count(seconds / minute, 'minute') : count(seconds, 'second');
}

function count(number: number, unit: string): string {
  return `${number.toLocaleString()} ${unit}${number === 1 ? '' : 's'}`;
}
