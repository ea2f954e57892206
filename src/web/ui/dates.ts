const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });
const dayMs = 86_400_000;

export const clockTime = (at: number): string => time.format(at);
export const fullTime = (at: number): string => fullDate.format(at);

/** Days apart in the reader's time zone. */
function daysAgo(at: number, now: number): number {
  return Math.round((midnight(now) - midnight(at)) / dayMs);
}

export function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

export function dayName(at: number, now = Date.now()): string {
  const days = daysAgo(at, now);
  if (days === 0) return 'Today';
  return days === 1 ? 'Yesterday' : longDay.format(at);
}

/** The shortest clear form: the time today, the weekday this week, then the date. */
export function shortTime(at: number, now = Date.now()): string {
  const days = daysAgo(at, now);
  if (days <= 0) return time.format(at);
  return days < 7 ? weekday.format(at) : shortDate.format(at);
}
