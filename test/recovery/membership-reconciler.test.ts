/** Steps of MembershipSync against connections that are none, and a Postgres that is told when to answer. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  MembershipReconciler,
  type SubscribedMembers,
  type MemberEvents,
} from '../../src/recovery/membership-reconciler.ts';
import type { Membership, MembershipPage } from '../../src/rooms/membership-changes.ts';
import type { UserEvent } from '../../src/fanout/fanout.ts';
import { until } from '../support/until.ts';

/** One connection a user; rooms by user. */
class Members implements SubscribedMembers, MemberEvents {
  #touched: Set<string> | undefined = undefined;
  readonly rooms = new Map<string, Set<string>>();
  readonly told: string[] = [];
  readonly gone: string[] = [];
  readonly waiting: { user: string; room: string }[] = [];

  beginRead(): ReadonlySet<string> {
    this.#touched = new Set();
    return this.#touched;
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
    this.told.push(`${user} ${change} ${room}`);
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

  cursor(): Promise<string> {
    return Promise.resolve('0');
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
    if (this.summaryFails-- > 0) return Promise.reject(new Error('the database is away'));
    if (this.members.get(user)?.has(room) !== true) return Promise.resolve(undefined);
    return Promise.resolve({ id: room, kind: 'group', name: null, role: 'member', seq: 0, rev: 0, read: 0 });
  }
  memberToUser(user: string, data: object): UserEvent {
    return { to: 'user', user, event: 'member', json: JSON.stringify(data) };
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
  it('applies what changed, tells the users, and goes on from the next cursor', async () => {
    stored.members.get('ann')?.add('s');
    stored.answers = [
      { cursor: '7', changed: [change('ann', 's', 'member'), change('ben', 'r', null), change('zoe', 'r', null)] },
    ];
    await sync.step();
    await until('all is told', () => members.told.length === 2);
    expect(members.told.toSorted()).toEqual(['ann joined s', 'ben left r']);
    await sync.step();
    expect(stored.cursors).toEqual(['0', '7']);
    expect(members.told).toHaveLength(2);
  });

  it('leaves alone who changed here while it read, and reads them again before it is done', async () => {
    stored.answers = [{ cursor: '7', changed: [change('ann', 'r', null), change('ben', 'r', null)] }];
    stored.members.set('ben', new Set());
    // ann left and came back: the row is older than what this node knows
    stored.during = () => members.live('ann', 'r', true);
    await sync.step();
    expect([...(members.rooms.get('ann') ?? [])]).toEqual(['r']);
    expect([...(members.rooms.get('ben') ?? [])]).toEqual([]);
    expect(stored.whole).toEqual([['ann']]);
    expect(members.told).toEqual(['ben left r']);
  });

  it('ends in a crowd that comes and goes: rows with a version are not read again', async () => {
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

  it('a join waits for the events that tell of it, as long as the others are heard', async () => {
    let reachable = true;
    sync = new MembershipReconciler(stored, members, members, { reachable: () => reachable });
    await sync.start();
    stored.answers = [{ cursor: '7', changed: [{ ...change('ann', 's', 'member'), version: 8 }] }];
    stored.members.get('ann')?.add('s');
    expect(await sync.step()).toBe(true);
    expect(members.told).toEqual([]);
    expect(members.rooms.get('ann')?.has('s')).toBe(false);
    // and is made up for where they do not come
    await until('it is told', () => members.told.length === 1);
    expect(members.told).toEqual(['ann joined s']);
    expect(members.rooms.get('ann')?.has('s')).toBe(true);
    // nobody else would tell it
    reachable = false;
    stored.members.get('ben')?.add('s');
    stored.answers = [{ cursor: '8', changed: [{ ...change('ben', 's', 'member'), version: 9 }] }];
    await sync.step();
    expect(members.rooms.get('ben')?.has('s')).toBe(true);
    sync.stop();
  });

  it('tells of a role that changed, also of who is read again', async () => {
    const updated = { ...change('ann', 'r', 'member'), updated: true, mutedUntil: 5 };
    stored.answers = [{ cursor: '7', changed: [updated, { ...change('ben', 'r', 'member'), updated: true }] }];
    stored.during = () => {
      members.live('ann', 's', true);
      stored.members.get('ann')?.add('s');
    };
    await sync.step();
    expect(members.told).toEqual(['ben role r', 'ann role r']);
  });

  it('reads users whole when too much changed', async () => {
    stored.answers = [{ cursor: '7', changed: undefined }];
    stored.members.set('ann', new Set(['s']));
    await sync.step();
    await until('all is told', () => members.told.length === 2);
    expect(members.told.toSorted()).toEqual(['ann joined s', 'ann left r']);
    expect(stored.whole).toEqual([['ann', 'ben']]);
  });

  it('reads users whole when the last one is longer ago than rows are kept', async () => {
    const late = new MembershipReconciler(stored, members, members, { maxGapMs: -1 });
    await late.start();
    stored.members.set('ann', new Set());
    await late.step();
    expect(members.told).toEqual(['ann left r']);
  });

  it('that fails is made again from where it was', async () => {
    stored.answers = [new Error('the database is away'), { cursor: '7', changed: [change('ann', 'r', null)] }];
    await expect(sync.step()).rejects.toThrow('away');
    await sync.step();
    expect(stored.cursors).toEqual(['0', '0']);
    expect(members.told).toEqual(['ann left r']);
  });

  it('is one that began after it was asked for', async () => {
    stored.answers = [
      { cursor: '1', changed: [] },
      { cursor: '2', changed: [change('ann', 'r', null)] },
    ];
    const [first, second, third] = [sync.step(), sync.step(), sync.step()];
    await first;
    expect(members.told).toEqual([]);
    await Promise.all([second, third]);
    expect(members.told).toEqual(['ann left r']);
    expect(stored.cursors).toEqual(['0', '1']);
  });

  it('welcomes who was joined and not told, and tries again when the database was away', async () => {
    members.unwelcomed('ann', 'r');
    members.unwelcomed('ben', 'gone');
    stored.summaryFails = 1;
    await sync.step();
    await until('the first attempt failed', () => members.waiting.length === 1);
    await sync.step();
    await until('it is told', () => members.told.length === 1);
    expect(members.told).toEqual(['ann joined r']);
    expect(members.waiting).toEqual([]);
  });
});
