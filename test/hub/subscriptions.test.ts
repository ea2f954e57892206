/** Races of membership changes: fan-out, a read of Postgres and a connection that comes overtake each other. */
import { describe, expect, it } from 'vitest';
import type { MembershipChange } from '../../src/fanout/fanout.ts';
import type { Role } from '../../src/protocol/model.ts';
import type { Membership } from '../../src/rooms/membership-changes.ts';
import { stageHub } from './hub.ts';

const room = 'r';
const user = 'ann';
const change = (version: number, role: Role | null): MembershipChange => ({
  to: 'membership',
  user,
  room,
  role,
  version,
});
/** A row of the log of changes, in present state. */
const row = (version: number, role: Role | null): Membership => ({
  user,
  room,
  role,
  version,
  updated: role !== null,
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}

/** The changes of one membership in commit order, and the membership after them. */
const histories: [name: string, changes: [version: number, role: Role | null][]][] = [
  [
    'a join and a removal',
    [
      [1, 'member'],
      [2, null],
    ],
  ],
  [
    'a removal and a join',
    [
      [1, null],
      [2, 'member'],
    ],
  ],
  [
    'a join, a removal and a join',
    [
      [1, 'member'],
      [2, null],
      [3, 'guest'],
    ],
  ],
];

describe.each(histories)('%s', (_name, changes) => {
  const [version, role] = changes.at(-1) ?? [0, null];
  const steps: [name: string, of: (stage: ReturnType<typeof stageHub>) => void][] = [
    ...changes.map(([at, is]): (typeof steps)[number] => [
      `event ${at}`,
      ({ hub }) => hub.subscriptions.change(change(at, is)),
    ]),
    ['row', ({ hub }) => void hub.subscriptions.reconcile(row(version, role))],
  ];

  it.each(permutations(steps).map((order) => [order.map(([name]) => name).join(', '), order] as const))(
    'ends with the last change for a connection that is here: %s',
    (_order, order) => {
      const stage = stageHub();
      const { connection } = stage.enter(user);
      for (const [, step] of order) step(stage);
      expect(stage.hub.subscriptions.isIn(connection, room)).toBe(role !== null);
    },
  );

  it.each(permutations(steps).map((order) => [order.map(([name]) => name).join(', '), order] as const))(
    'ends with the last change for a connection that comes at any moment: %s',
    (_order, order) => {
      for (let from = 0; from <= order.length; from++) {
        for (let to = from; to <= order.length; to++) {
          const stage = stageHub();
          for (const [, step] of order.slice(0, from)) step(stage);
          const { connection } = stage.connect(user);
          for (const [, step] of order.slice(from, to)) step(stage);
          // the connection reads after its subscription began, so it sees all commits
          stage.hub.subscriptions.enter(connection, role === null ? [] : [{ room, role, version }]);
          connection.state = 'ready';
          for (const [, step] of order.slice(to)) step(stage);
          expect(stage.hub.subscriptions.isIn(connection, room), `${from} to ${to}`).toBe(role !== null);
        }
      }
    },
  );
});

// a node that started after the last change gets no event and no row of it
it('a change that comes during the read of a connection loses to a later version in that read', () => {
  const { hub, connect } = stageHub();
  const { connection } = connect(user);
  hub.subscriptions.change(change(2, null));
  hub.subscriptions.enter(connection, [{ room, role: 'member', version: 3 }]);
  expect(hub.subscriptions.isIn(connection, room)).toBe(true);
  const next = connect(user);
  hub.subscriptions.change(change(4, null));
  hub.subscriptions.enter(next.connection, [{ room, role: 'member', version: 3 }]);
  expect(hub.subscriptions.isIn(next.connection, room)).toBe(false);
});

describe('an event of a membership without a version here', () => {
  it('is dropped if the node started later, and its row counts', () => {
    const { hub, enter } = stageHub();
    hub.subscriptions.startFrom(2);
    const { connection } = enter(user);
    hub.subscriptions.change(change(1, 'member'));
    hub.subscriptions.change(change(2, 'member'));
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
    // committed after the start, with a version from before
    expect(hub.subscriptions.reconcile(row(2, 'member'))).toBe('joined');
    hub.subscriptions.change(change(3, null));
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
  });

  it('is dropped if a connection read a later version', () => {
    const { hub, connect } = stageHub();
    hub.subscriptions.startFrom(3);
    const { connection } = connect(user);
    hub.subscriptions.enter(connection, [{ room, role: 'member', version: 3 }]);
    connection.state = 'ready';
    hub.subscriptions.change(change(2, null));
    expect(hub.subscriptions.isIn(connection, room)).toBe(true);
    hub.subscriptions.change(change(4, null));
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
  });

  // the versions are forgotten when the lease is new: a late join came back with them
  it('is dropped if the node had a later version and forgot it', () => {
    const { hub, enter } = stageHub();
    const { connection } = enter(user);
    hub.subscriptions.change(change(2, null));
    hub.subscriptions.forgetVersions();
    hub.subscriptions.change(change(1, 'member'));
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
    hub.subscriptions.change(change(3, 'member'));
    expect(hub.subscriptions.isIn(connection, room)).toBe(true);
  });

  it('is dropped if 10,000 changes of other memberships came after a later one', () => {
    const { hub, enter } = stageHub();
    const { connection } = enter(user);
    hub.subscriptions.change(change(2, null));
    for (let n = 0; n < 10_000; n++) hub.subscriptions.change({ ...change(n + 3, 'member'), user: `other-${n}` });
    hub.subscriptions.change(change(1, 'member'));
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
  });

  it('counts without a version, as that of a user whose presence is checked', () => {
    const { hub, enter } = stageHub();
    hub.subscriptions.startFrom(9);
    const { connection } = enter(user, room);
    hub.subscriptions.change({ to: 'membership', user, room, role: null });
    expect(hub.subscriptions.isIn(connection, room)).toBe(false);
  });
});

describe('a role that changed', () => {
  it('is reported once for each version, by whichever way the node gets it first', () => {
    const { hub, enter } = stageHub();
    enter(user, room);
    expect(hub.subscriptions.reconcile(row(4, 'admin'))).toBe('role');
    expect(hub.subscriptions.reconcile(row(4, 'admin'))).toBeUndefined();
    hub.subscriptions.change(change(5, 'member'));
    expect(hub.subscriptions.reconcile(row(5, 'member'))).toBeUndefined();
    expect(hub.subscriptions.reconcile(row(4, 'admin'))).toBeUndefined();
    expect(hub.subscriptions.reconcile(row(6, 'admin'))).toBe('role');
  });

  // the cache of sent roles knew only users with connections here
  it('is not reported again to a user that connected after its event', () => {
    const { hub, enter } = stageHub();
    hub.subscriptions.change(change(4, 'admin'));
    enter(user, room);
    expect(hub.subscriptions.reconcile(row(4, 'admin'))).toBeUndefined();
  });
});
