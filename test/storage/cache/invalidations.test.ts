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

it.each(names)('says what the event %s makes older', (name) => {
  const rule = invalidationsOfEvents[name];
  expect(rule).toBeDefined();
  // either there are targets, or there is a reason for none
  expect(rule.targets(data).length > 0).toBe(rule.nothing === undefined);
});

it('has no rule for an event that does not exist', () => {
  expect(Object.keys(invalidationsOfEvents).toSorted()).toEqual(names.toSorted());
});

it('ends the summary of a room at each event of its rev', () => {
  const inRevOrder = names.filter((name) => 'rev' in ((events[name].data as { shape?: object }).shape ?? {}));
  expect(inRevOrder).toContain('message');
  for (const name of inRevOrder) {
    expect([name, invalidationsOf(name, data).map(nameOf)]).toEqual([
      name,
      expect.arrayContaining([nameOf({ kind: 'roomHead', id: ['lobby'] })]),
    ]);
  }
});

it('ends each kind by a change, or leaves it to its time', () => {
  const raised = new Set([
    ...names.flatMap((name) => of(invalidationsOf(name, data))),
    ...Object.values(invalidationsOfChanges).flatMap((change) =>
      of((change as (id: string) => readonly Target[])('ann')),
    ),
  ]);
  const room = { id: 'lobby', kind: 'channel', name: null, seq: 1, rev: 1 } as const;
  const samples: Record<(typeof kindNames)[number], readonly string[]> = {
    apiKey: namesOf('apiKey', ['ann'], null),
    user: namesOf('user', ['ann'], null),
    roomState: namesOf('roomState', ['lobby'], null),
    roomHead: namesOf('roomHead', ['lobby'], null),
    membership: namesOf('membership', ['lobby', 'ann'], null),
    roomList: namesOf('roomList', ['ann', ''], { rooms: [{ ...room, role: null, read: 0 }], next: null }),
    unread: namesOf('unread', ['ann'], {}),
    keySet: namesOf('keySet', ['ann'], { keys: [] }),
    session: namesOf('session', ['s', 'ann'], null),
    channelSearch: namesOf('channelSearch', ['x', ''], { rooms: [room], next: null }),
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
