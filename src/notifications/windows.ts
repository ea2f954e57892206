/**
 * Weekly quiet hours on the clock of an IANA zone. The zone's rules are those of `Intl`, so no other copy of them ages here.
 *
 * A window is a span of wall time. At a jump forward, a border that does not exist is the first instant after the gap. At a
 * jump back, the first of two equal wall times begins a window and the second ends it, so the window covers both.
 */
import { days, type QuietWindow } from '../protocol/notifications.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();
/** Zones are few; the limit is for a user who tries many. */
const keptFormats = 700;

function formatOf(zone: string): Intl.DateTimeFormat {
  const kept = formats.get(zone);
  if (kept !== undefined) return kept;
  if (formats.size >= keptFormats) formats.clear();
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formats.set(zone, made);
  return made;
}

/** The wall time of an instant, as if the zone were UTC. */
export function wallOf(zone: string, at: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(at)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/**
 * The instants at which the clock of the zone shows a wall time: none in a gap, two in an overlap.
 * @returns the first and the last of them; in a gap both are the first instant after it
 */
export function instantsOf(zone: string, wall: number): { readonly first: number; readonly last: number } {
  // offsets of the days around hold before and after a change of the clock
  const offsets = [wall - dayMs, wall + dayMs].map((at) => wallOf(zone, at) - at);
  const found = [...new Set(offsets)].map((offset) => wall - offset).filter((at) => wallOf(zone, at) === wall);
  if (found.length > 0) return { first: Math.min(...found), last: Math.max(...found) };
  const gapEnd = firstAfterGap(zone, wall, wall - Math.max(...offsets), wall - Math.min(...offsets));
  return { first: gapEnd, last: gapEnd };
}

/** The first instant whose wall time is not before the sought one: it lies between the two instants. */
function firstAfterGap(zone: string, wall: number, from: number, to: number): number {
  let [before, after] = [from - minuteMs, to + minuteMs];
  while (after - before > 1000) {
    const middle = before + Math.floor((after - before) / 2000) * 1000;
    if (wallOf(zone, middle) < wall) before = middle;
    else after = middle;
  }
  return after;
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

/** @returns the end of the quiet time that `now` is in, through windows that touch; undefined: no window holds `now` */
export function quietUntil(windows: readonly QuietWindow[], now: number): number | undefined {
  let end: number | undefined;
  // a window of a week at most, and windows that touch: each round goes on from the end of the window before
  for (let round = 0; round <= windows.length; round++) {
    const at = end ?? now;
    const next = Math.max(...windows.map((window) => endOf(window, at) ?? -Infinity));
    if (next === -Infinity || next <= at) return end;
    end = next;
  }
  return end;
}

/** The end of the window that holds `at`. */
function endOf({ day, from, to, zone }: QuietWindow, at: number): number | undefined {
  const midnight = Math.floor(wallOf(zone, at) / dayMs) * dayMs;
  const [begin, end] = [minutesOf(from), minutesOf(to)];
  // a window began yesterday or today, and lasts a day at most
  for (const back of [0, 1]) {
    const date = midnight - back * dayMs;
    if (days[(new Date(date).getUTCDay() + 6) % 7] !== day) continue;
    const { first } = instantsOf(zone, date + begin * minuteMs);
    const { last } = instantsOf(zone, date + (end <= begin ? dayMs : 0) + end * minuteMs);
    if (first <= at && at < last) return last;
  }
  return undefined;
}
