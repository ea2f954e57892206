import { assert, constantFrom, property, string, type Arbitrary } from 'fast-check';
import { expect, it } from 'vitest';
import { RoomPatterns } from '../../src/rooms/room-patterns.ts';

it.each([
  [['*'], 'lobby', true],
  [['**'], 'lobby', true],
  [['lobby'], 'lobby', true],
  [['lobby'], 'lobby2', false],
  [['lobby'], 'alobby', false],
  [['team-*'], 'team-red', true],
  [['team-*'], 'team-', true],
  [['team-*'], 'team', false],
  [['team-*'], 'a-team-red', false],
  [['*-log'], 'audit-log', true],
  [['*-log'], 'audit-logs', false],
  [['a*b*c'], 'abc', true],
  [['a*b*c'], 'a-b-b-c', true],
  [['a*b*c'], 'a-c', false],
  [['ab*ba'], 'aba', false],
  [['ab*ba'], 'abba', true],
  [['*aa*aa*'], 'aaa', false],
  [['*aa*aa*'], 'aaaa', true],
  [['team.*'], 'teamXred', false],
  [['Team-*'], 'team-red', false],
  [['one', 'two-*'], 'two-2', true],
  [['one', 'two-*'], 'three', false],
  [[], 'lobby', false],
] as [string[], string, boolean][])('the patterns %j for the room %s: %s', (patterns, room, expected) => {
  expect(new RoomPatterns(patterns).match(room)).toBe(expected);
});

const letters = (...some: string[]): Arbitrary<string> => string({ unit: constantFrom(...some), maxLength: 12 });

it('agrees with a regular expression', () => {
  assert(
    property(letters('a', 'b', '.', '*'), letters('a', 'b', '.'), (pattern, room) => {
      const expected = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll(/\*+/g, '.*')}$`).test(room);
      expect(new RoomPatterns([pattern]).match(room)).toBe(expected);
    }),
    { numRuns: 5000 },
  );
});

it('answers for the pattern that makes a matcher with backtracking take for years', () => {
  const pattern = '*a'.repeat(32);
  expect(new RoomPatterns([pattern]).match(`${'a'.repeat(63)}b`)).toBe(false);
});
