import { expect, it } from 'vitest';
import { events, type EventName } from '../../../src/protocol/events.ts';
import {
  invalidationsOf,
  invalidationsOfChanges,
  invalidationsOfEvents,
} from '../../../src/storage/cache/invalidations.ts';
import { kindNames, kinds, nameOf, namesOf, type Target } from '../../../src/storage/cache/kinds.ts';

const names = Object.keys(events) as EventName[];
const of = (targets: readonly Target[]): string[] => targets.map(nameOf);
const data = { room: 'lobby', user: 'ann' } as never;

const ofMember = (change: string, role: string | null): string[] =>
  of(invalidationsOf('member', { room: 'lobby', user: 'ann', change, role } as never));
const ofRoom = (state: object | undefined): string[] =>
  of(invalidationsOf('room', { room: 'lobby', change: 'updated', by: 'ann', state } as never));

it.each(names)('says what the event %s makes older', (name) => {
  const rule = invalidationsOfEvents[name];
  expect(rule).toBeDefined();
  // either there are targets, or there is a reason for none
  expect(rule.targets(data).length > 0).toBe(rule.nothing === undefined);
});

it('has no rule for an event that does not exist', () => {
  expect(Object.keys(invalidationsOfEvents).toSorted()).toEqual(names.toSorted());
});

it('ends the owner of a room by each change that can make another user the owner', () => {
  const owner = [nameOf({ kind: 'roomOwner', id: ['lobby'] })];
  for (const change of ['left', 'removed', 'banned'] as const) expect(ofMember(change, null)).toEqual(owner);
  for (const role of ['owner', 'admin', 'member']) expect(ofMember('role', role)).toEqual(owner);
  expect(ofMember('joined', 'owner')).toEqual(owner);
  for (const role of ['admin', 'member', 'guest']) expect(ofMember('joined', role)).toEqual([]);
  for (const change of ['muted', 'unmuted']) expect(ofMember(change, 'member')).toEqual([]);
});

it('ends the searches for channels by a change of a channel alone', () => {
  expect(ofRoom({ kind: 'group' })).toEqual(['room:lobby']);
  expect(ofRoom({ kind: 'channel' })).toEqual(['room:lobby', 'kind:channelSearch']);
  // the event of a deleted room has no state
  expect(ofRoom(undefined)).toEqual(['room:lobby', 'kind:channelSearch']);
});

it('ends each kind by a change, or leaves it to its time', () => {
  const raised = new Set([
    ...names.flatMap((name) => of(invalidationsOf(name, data))),
    ...Object.values(invalidationsOfChanges).flatMap((change) =>
      of((change as (id: string) => readonly Target[])('ann')),
    ),
  ]);
  const samples: Record<(typeof kindNames)[number], readonly string[]> = {
    user: namesOf('user', ['ann'], null),
    profile: namesOf('profile', ['ann'], { id: 'ann', name: null, avatar: null }),
    roomOwner: namesOf('roomOwner', ['lobby'], 'ann'),
    channelSearch: namesOf('channelSearch', ['x', ''], { ids: ['lobby'], after: null, more: false }),
  };
  for (const kind of kindNames) {
    const own = samples[kind];
    expect([kind, own.some((name) => raised.has(name))]).toEqual([kind, true]);
    // a tag outside of the declared families would lose its fence too early
    const families = own
      .filter((name) => !name.includes('/') && !name.startsWith('kind:'))
      .map((name) => name.split(':')[0]);
    expect([kind, [...new Set(families)].toSorted()]).toEqual([kind, [...kinds[kind].families].toSorted()]);
  }
});
