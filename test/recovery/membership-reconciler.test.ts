/** Steps of MembershipReconciler, against a list of members and answers of Postgres that each test sets. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  MembershipReconciler,
  type SubscribedMembers,
  type MemberEvents,
} from '../../src/recovery/membership-reconciler.ts';
import type { Membership, MembershipPage } from '../../src/rooms/membership-changes.ts';
import type { UserEvent } from '../../src/fanout/fanout.ts';
import { everyMember } from '../../src/storage/confirmations.ts';
import { until } from '../support/until.ts';

/** One connection a user; rooms by user. */
class Members implements SubscribedMembers, MemberEvents {
  #touched: Set<string> | undefined = undefined;
  readonly rooms = new Map<string, Set<string>>();
  readonly sent: string[] = [];
  readonly gone: string[] = [];
  checks = 0;
  readonly waiting: { user: string; room: string }[] = [];
  readonly starts: number[] = [];

  beginRead(): ReadonlySet<string> {
    this.#touched = new Set();
    return this.#touched;
  }
  startFrom(version: number): void {
    this.starts.push(version);
  }
  endRead(): void {
    this.#touched = undefined;
  }
  userIds(): string[] {
    return [...this.rooms.keys()];
  }
  usersIn(room: string): string[] {
    return this.userIds().filter((user) => this.rooms.get(user)?.has(room));
  }
  isOutside(user: string, room: string): boolean {
    return this.rooms.get(user)?.has(room) === false;
  }
  isInside(user: string, room: string): boolean {
    this.checks++;
    return this.rooms.get(user)?.has(room) === true;
  }
  departed(user: string): void {
    this.gone.push(user);
  }
  *joined(): Generator<{ user: string; room: string }> {
    for (const [user, rooms] of this.rooms) for (const room of rooms) yield { user, room };
  }
  reconcile({ user, room, role, updated }: Membership): 'joined' | 'left' | 'role' | undefined {
    const rooms = this.rooms.get(user);
    if (rooms === undefined) return undefined;
    if (rooms.has(room) === (role !== null)) return updated === true && role !== null ? 'role' : undefined;
    if (role === null) rooms.delete(room);
    else rooms.add(room);
    return role === null ? 'left' : 'joined';
  }
  toUser({ user, json }: UserEvent): void {
    const { room, change } = JSON.parse(json) as { room: string; change: string };
    this.sent.push(`${user} ${change} ${room}`);
  }
  unwelcomed(user: string, room: string): void {
    this.waiting.push({ user, room });
  }
  takeUnwelcomed(): { user: string; room: string }[] {
    return this.waiting.splice(0);
  }
  nameOf(): null {
    return null;
  }
  /** A change that came over fan-out. */
  live(user: string, room: string, member: boolean): void {
    this.#touched?.add(user);
    if (member) this.rooms.get(user)?.add(room);
    else this.rooms.get(user)?.delete(room);
  }
}

class Stored {
  readonly members = new Map<string, Set<string>>();
  readonly cursors: string[] = [];
  whole: string[][] = [];
  answers: (MembershipPage | Error)[] = [];
  during: (() => void) | undefined = undefined;
  summaryFails = 0;

  version = 5;
  start(): Promise<{ cursor: string; version: number }> {
    return Promise.resolve({ cursor: '0', version: this.version });
  }
  async changes(cursor: string): Promise<MembershipPage> {
    this.cursors.push(cursor);
    const answer = this.answers.shift() ?? { cursor, changed: [] };
    await Promise.resolve();
    this.during?.();
    if (answer instanceof Error) throw answer;
    return answer;
  }
  membershipsOf(users: readonly string[]): Promise<Membership[]> {
    this.whole.push([...users]);
    return Promise.resolve(
      users.flatMap((user) =>
        [...(this.members.get(user) ?? [])].map((room) => ({ user, room, role: 'member' as const })),
      ),
    );
  }
  summary(user: string, room: string): ReturnType<ConstructorParameters<typeof MembershipReconciler>[0]['summary']> {
    if (this.summaryFails-- > 0) return Promise.reject(new Error('the database is unavailable'));
    if (this.members.get(user)?.has(room) !== true) return Promise.resolve(undefined);
    return Promise.resolve({ id: room, kind: 'group', name: null, role: 'member', seq: 0, rev: 0, read: 0 });
  }
}

let members: Members;
let stored: Stored;
let sync: MembershipReconciler;
beforeEach(async () => {
  members = new Members();
  stored = new Stored();
  sync = new MembershipReconciler(stored, members, members);
  await sync.start();
  for (const user of ['ann', 'ben']) {
    members.rooms.set(user, new Set(['r']));
    stored.members.set(user, new Set(['r']));
  }
});

const change = (user: string, room: string, role: 'member' | null): Membership => ({ user, room, role });

describe('a step', () => {
  it('applies changes, sends their events to the users, and continues from the next cursor', async () => {
    stored.members.get('ann')?.add('s');
    stored.answers = [
      { cursor: '7', changed: [change('ann', 's', 'member'), change('ben', 'r', null), change('zoe', 'r', null)] },
    ];
    await sync.step();
    await until('all events are sent', () => members.sent.length === 2);
    expect(members.sent.toSorted()).toEqual(['ann joined s', 'ben left r']);
    await sync.step();
    expect(stored.cursors).toEqual(['0', '7']);
    expect(members.sent).toHaveLength(2);
  });

  it('leaves a user alone whose membership changed during the read, and reads that user again before it ends', async () => {
    stored.answers = [{ cursor: '7', changed: [change('ann', 'r', null), change('ben', 'r', null)] }];
    stored.members.set('ben', new Set());
    // ann left and came back: the row is older than what this node knows
    stored.during = () => members.live('ann', 'r', true);
    await sync.step();
    expect([...(members.rooms.get('ann') ?? [])]).toEqual(['r']);
    expect([...(members.rooms.get('ben') ?? [])]).toEqual([]);
    expect(stored.whole).toEqual([['ann']]);
    expect(members.sent).toEqual(['ben left r']);
  });

  it('ends in a room where users come and go: rows with a version are not read again', async () => {
    const versioned = [
      { ...change('ann', 'r', null), version: 8 },
      { ...change('ben', 's', 'member' as const), version: 9 },
    ];
    stored.answers = [{ cursor: '7', changed: versioned }];
    stored.during = () => {
      members.live('ann', 't', true);
      members.live('ben', 't', true);
    };
    expect(await sync.step()).toBe(true);
    expect(stored.whole).toEqual([]);
    await sync.step();
    expect(stored.cursors).toEqual(['0', '7']);
  });

  it('keeps a join until its events come, as long as other nodes are reachable', async () => {
    let reachable = true;
    sync = new MembershipReconciler(stored, members, members, { reachable: () => reachable });
    await sync.start();
    stored.answers = [{ cursor: '7', changed: [{ ...change('ann', 's', 'member'), version: 8 }] }];
    stored.members.get('ann')?.add('s');
    expect(await sync.step()).toBe(true);
    expect(members.sent).toEqual([]);
    expect(members.rooms.get('ann')?.has('s')).toBe(false);
    // the join is applied when its events do not come
    await until('the event is sent', () => members.sent.length === 1);
    expect(members.sent).toEqual(['ann joined s']);
    expect(members.rooms.get('ann')?.has('s')).toBe(true);
    // no event of another node can come
    reachable = false;
    stored.members.get('ben')?.add('s');
    stored.answers = [{ cursor: '8', changed: [{ ...change('ben', 's', 'member'), version: 9 }] }];
    await sync.step();
    expect(members.rooms.get('ben')?.has('s')).toBe(true);
    sync.stop();
  });

  // A step of the lease overtook the event of a ban, and the banned user read that they had left by themselves.
  it.each([
    ['of a member', [{ ...change('ann', 'r', null), version: 8 }]],
    ['of every member', [{ ...change(everyMember, 'r', null), version: 8 }]],
  ])('leaves the reason of a removal %s to its event, and is not done before', async (_, changed) => {
    sync = new MembershipReconciler(stored, members, members, { reachable: () => true });
    await sync.start();
    stored.answers = [{ cursor: '7', changed }];
    let done = false;
    const step = sync.step().then(() => (done = true));
    await until('the step waits or goes on', () => members.checks > 1 || members.sent.length > 0);
    expect([members.sent, done]).toEqual([[], false]);
    for (const user of ['ann', 'ben']) members.live(user, 'r', false);
    await step;
    expect(members.sent).toEqual([]);
    sync.stop();
  });

  it('ends a membership whose event does not come, or while events do not come at all', async () => {
    let reach = true;
    sync = new MembershipReconciler(stored, members, members, { reachable: () => reach });
    await sync.start();
    stored.answers = [{ cursor: '7', changed: [{ ...change('ann', 'r', null), version: 8 }] }];
    await sync.step();
    expect(members.sent).toEqual(['ann left r']);
    reach = false;
    members.checks = 0;
    stored.answers = [{ cursor: '8', changed: [{ ...change('ben', 'r', null), version: 9 }] }];
    await sync.step();
    expect(members.sent).toEqual(['ann left r', 'ben left r']);
    expect(members.checks).toBe(1);
    sync.stop();
  });

  it('sends the event of a changed role, also to a user that is read again', async () => {
    const updated = { ...change('ann', 'r', 'member'), updated: true, mutedUntil: 5 };
    stored.answers = [{ cursor: '7', changed: [updated, { ...change('ben', 'r', 'member'), updated: true }] }];
    stored.during = () => {
      members.live('ann', 's', true);
      stored.members.get('ann')?.add('s');
    };
    await sync.step();
    expect(members.sent).toEqual(['ben role r', 'ann role r']);
  });

  it('reads all memberships of the users when too much changed', async () => {
    stored.answers = [{ cursor: '7', changed: undefined }];
    stored.members.set('ann', new Set(['s']));
    await sync.step();
    await until('all events are sent', () => members.sent.length === 2);
    expect(members.sent.toSorted()).toEqual(['ann joined s', 'ann left r']);
    expect(stored.whole).toEqual([['ann', 'ben']]);
  });

  it('names the version that its reads cover: at the start, before a whole read, and after a restart', async () => {
    expect(members.starts).toEqual([5]);
    await sync.step();
    stored.version = 6;
    stored.answers = [{ cursor: '7', changed: undefined }];
    stored.during = () => expect(members.starts).toEqual([5]);
    await sync.step();
    expect(members.starts).toEqual([5, 6]);
    // the versions of another history are lower
    stored.version = 2;
    stored.during = () => expect(members.starts).toEqual([5, 6, 2]);
    sync.restart();
    await sync.step();
    expect(members.starts).toEqual([5, 6, 2]);
  });

  it('reads all memberships of the users when the last step is older than the rows that are kept', async () => {
    const late = new MembershipReconciler(stored, members, members, { maxGapMs: -1 });
    await late.start();
    stored.members.set('ann', new Set());
    await late.step();
    expect(members.sent).toEqual(['ann left r']);
  });

  it('that fails is repeated from the same cursor', async () => {
    stored.answers = [new Error('the database is unavailable'), { cursor: '7', changed: [change('ann', 'r', null)] }];
    await expect(sync.step()).rejects.toThrow('unavailable');
    await sync.step();
    expect(stored.cursors).toEqual(['0', '0']);
    expect(members.sent).toEqual(['ann left r']);
  });

  it('is one that began after the call', async () => {
    stored.answers = [
      { cursor: '1', changed: [] },
      { cursor: '2', changed: [change('ann', 'r', null)] },
    ];
    const [first, second, third] = [sync.step(), sync.step(), sync.step()];
    await first;
    expect(members.sent).toEqual([]);
    await Promise.all([second, third]);
    expect(members.sent).toEqual(['ann left r']);
    expect(stored.cursors).toEqual(['0', '1']);
  });

  it('sends the missing event of a join, and tries again when Postgres was unavailable', async () => {
    members.unwelcomed('ann', 'r');
    members.unwelcomed('ben', 'gone');
    stored.summaryFails = 1;
    await sync.step();
    await until('the first attempt failed', () => members.waiting.length === 1);
    await sync.step();
    await until('the event is sent', () => members.sent.length === 1);
    expect(members.sent).toEqual(['ann joined r']);
    expect(members.waiting).toEqual([]);
  });
});
