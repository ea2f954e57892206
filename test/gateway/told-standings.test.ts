import { expect, it } from 'vitest';
import { ToldStandings } from '../../src/gateway/told-standings.ts';

const ann = { user: 'ann', room: 'r', role: 'member' } as const;

it('knows what a user was told last, of each room', () => {
  const told = new ToldStandings();
  expect(told.note(ann)).toBe(false);
  expect(told.note(ann)).toBe(true);
  expect(told.note({ ...ann, room: 's' })).toBe(false);
  expect(told.note({ ...ann, mutedUntil: 5 })).toBe(false);
  expect(told.note({ ...ann, role: null })).toBe(false);
  expect(told.note(ann)).toBe(false);
});

it('forgets the oldest past its limit', () => {
  const told = new ToldStandings(2);
  for (const user of ['a', 'b', 'c']) told.note({ ...ann, user });
  expect(told.note({ ...ann, user: 'c' })).toBe(true);
  expect(told.note({ ...ann, user: 'b' })).toBe(true);
  expect(told.note({ ...ann, user: 'a' })).toBe(false);
});
