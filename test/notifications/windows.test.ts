/** Quiet hours on the clocks of zones, with the days on which a clock jumps. */
import { describe, expect, it } from 'vitest';
import { days, type QuietWindow } from '../../src/protocol/notifications.ts';
import { instantsOf, quietUntil, wallOf } from '../../src/notifications/windows.ts';

const at = (text: string): number => Date.parse(text);
const nightly = (zone: string, from: string, to: string): QuietWindow[] => days.map((day) => ({ day, from, to, zone }));

describe('a window', () => {
  const berlin: QuietWindow = { day: 'mon', from: '22:00', to: '07:00', zone: 'Europe/Berlin' };

  it.each([
    ['before the window', '2026-11-30T20:59:59Z', undefined],
    ['at its begin', '2026-11-30T21:00:00Z', '2026-12-01T06:00:00Z'],
    ['behind midnight', '2026-12-01T05:59:59Z', '2026-12-01T06:00:00Z'],
    ['at its end', '2026-12-01T06:00:00Z', undefined],
    ['on the day after', '2026-12-01T21:30:00Z', undefined],
  ])('holds its instants: %s', (_name, now, end) => {
    expect(quietUntil([berlin], at(now))).toBe(end === undefined ? undefined : at(end));
  });

  it('goes on in a window that begins where it ends', () => {
    const morning: QuietWindow = { day: 'tue', from: '07:00', to: '09:00', zone: 'Europe/Berlin' };
    expect(quietUntil([morning, berlin], at('2026-11-30T22:00:00Z'))).toBe(at('2026-12-01T08:00:00Z'));
  });

  it('of equal times lasts a day', () => {
    const whole: QuietWindow = { day: 'sun', from: '00:00', to: '00:00', zone: 'UTC' };
    expect(quietUntil([whole], at('2026-11-29T12:00:00Z'))).toBe(at('2026-11-30T00:00:00Z'));
  });

  it('has an end also where windows cover the week', () => {
    const end = quietUntil(nightly('UTC', '00:00', '00:00'), at('2026-11-30T12:00:00Z'));
    expect(end).toBeGreaterThan(at('2026-12-06T00:00:00Z'));
    expect(end).toBeLessThanOrEqual(at('2026-12-09T00:00:00Z'));
  });
});

describe('a jump of the clock', () => {
  it('forward gives the first instant after the gap', () => {
    const { first, last } = instantsOf('Europe/Berlin', Date.UTC(2026, 2, 29, 2, 30));
    expect([first, last]).toEqual([at('2026-03-29T01:00:00Z'), at('2026-03-29T01:00:00Z')]);
    expect(quietUntil(nightly('Europe/Berlin', '22:00', '02:30'), at('2026-03-29T00:30:00Z'))).toBe(
      at('2026-03-29T01:00:00Z'),
    );
  });

  it('back gives both instants, and a window covers both', () => {
    const { first, last } = instantsOf('Europe/Berlin', Date.UTC(2026, 9, 25, 2, 30));
    expect([first, last]).toEqual([at('2026-10-25T00:30:00Z'), at('2026-10-25T01:30:00Z')]);
    expect(quietUntil(nightly('Europe/Berlin', '22:00', '02:30'), at('2026-10-25T00:45:00Z'))).toBe(last);
  });

  it('at midnight moves the begin of the day', () => {
    // in Santiago the clock jumps from 24:00 of Saturday to 01:00
    const { first } = instantsOf('America/Santiago', Date.UTC(2026, 8, 6, 0, 0));
    expect(wallOf('America/Santiago', first)).toBe(Date.UTC(2026, 8, 6, 1, 0));
  });
});

/** The instants at which the offset of a zone changes, by bisection of days. */
function jumpsOf(zone: string, from: number, to: number): number[] {
  const offset = (instant: number): number => wallOf(zone, instant) - instant;
  const jumps: number[] = [];
  const step = 14 * 86_400_000;
  for (let start = from; start < to; start += step) {
    let [before, after] = [start, start + step];
    if (offset(before) === offset(after)) continue;
    while (after - before > 60_000) {
      const middle = before + Math.floor((after - before) / 120_000) * 60_000;
      if (offset(middle) === offset(before)) before = middle;
      else after = middle;
    }
    jumps.push(after);
  }
  return jumps;
}

describe('every IANA zone over five years', () => {
  const zones = Intl.supportedValuesOf('timeZone');
  const [from, to] = [Date.UTC(2025, 0, 1), Date.UTC(2030, 0, 1)];

  it('has an end of each window that is at or after its wall time, at each jump of the clock', () => {
    let jumps = 0;
    // zones with the same jumps have the same rules
    const seen = new Set<string>();
    for (const zone of zones) {
      const found = jumpsOf(zone, from, to);
      const key = [wallOf(zone, from) - from, ...found].join(' ');
      if (seen.has(key)) continue;
      seen.add(key);
      for (const jump of found) {
        jumps++;
        for (const minutes of [-90, -30, 0, 30, 90]) {
          const wall = wallOf(zone, jump) + minutes * 60_000;
          const { first, last } = instantsOf(zone, wall);
          expect(first, `${zone} ${new Date(wall).toISOString()}`).toBeLessThanOrEqual(last);
          // a wall time that exists is shown at both instants; one in a gap is followed by the first instant after it
          expect(wallOf(zone, last), zone).toBeGreaterThanOrEqual(wall);
          if (wallOf(zone, last) !== wall) expect(wallOf(zone, last - 1000), zone).toBeLessThan(wall);
        }
      }
    }
    expect(zones.length).toBeGreaterThan(400);
    expect(jumps).toBeGreaterThan(100);
  }, 60_000);
});
