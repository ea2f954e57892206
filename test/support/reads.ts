/** Every command that reads, on a data set, through the modules that answer it. For `bench/data.ts` and tests of plans. */
import type postgres from 'postgres';
import { ConnectLoad } from '../../src/connect/connect-load.ts';
import { history } from '../../src/messages/history.ts';
import { membershipsOf } from '../../src/rooms/membership-changes.ts';
import { mentions } from '../../src/messages/mentions.ts';
import { eventsBetween, headsOf, readBackfill } from '../../src/recovery/backfill.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { pinned } from '../../src/messages/pins.ts';
import { receipts, unread } from '../../src/receipts/receipts.ts';
import { recentRows } from '../../src/recovery/recent-rows.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { sync } from '../../src/recovery/catch-up.ts';
import { Threads } from '../../src/threads/threads.ts';
import { versions } from '../../src/messages/versions.ts';
import { Visibility } from '../../src/presence/visibility.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { memoryCache } from './cache.ts';
import { dataSetMember, dataSetUser, dataSetWord, heavyUser, type DataSet, type DataSetRoom } from './data-set.ts';
import { createSearch } from './messaging.ts';

export interface Read {
  /** The command of the protocol, or what a node does by itself. */
  readonly command: string;
  /** The parameters, in words. */
  readonly of: string;
  readonly run: () => Promise<unknown>;
}

const day = 86_400_000;

/** @param seed of the parameters, which differ from run to run */
export async function readsOf(sql: postgres.Sql, set: DataSet, seed = 1): Promise<Read[]> {
  const random = generator(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const [largest] = set.samples as readonly [DataSetRoom, ...DataSetRoom[]];
  const large = set.samples.slice(0, 3);
  const smallest = set.samples.at(-1) as DataSetRoom;
  const anybody = (): string => dataSetUser(below(set.users));
  const heavy = (): string => heavyUser(below(set.heavyUsers));
  const member = (room: DataSetRoom): string => dataSetMember(set, room, below(500));
  const fanout = new MemoryFanout(() => undefined);
  const rooms = new Rooms({
    sql,
    fanout,
    applied: whenApplied(sql),
    cache: memoryCache(),
    maxRoomsPerUser: 1000,
    maxMembersPerRoom: 10_000,
  });
  const threads = new Threads({ sql, fanout });
  const connectLoad = new ConnectLoad(sql);
  const visibility = new Visibility(sql);
  const search = createSearch(sql);
  const heads = new Map<string, { id: string; last_rev: number }[]>();
  for (let n = 0; n < Math.min(5, set.heavyUsers); n++) {
    const user = heavyUser(n);
    heads.set(
      user,
      await sql<{ id: string; last_rev: number }[]>`
        select r.id, r.last_rev from rooms r join members m on m.room_id = r.id where m.user_id = ${user} order by r.id limit 200`,
    );
  }
  const ids = (await sql<{ id: string }[]>`select id from rooms order by md5(id) limit 10000`).map(({ id }) => id);
  const cursorsOf = (behind: () => number): [string, Record<string, number>] => {
    const user = pick([...heads.keys()]);
    const found = heads.get(user) ?? [];
    return [user, Object.fromEntries(found.map(({ id, last_rev: rev }) => [id, Math.max(0, rev - behind())]))];
  };
  const common = (): string => dataSetWord(below(3));
  const rare = (): string => dataSetWord(15_000 + below(5000));
  const medium = (): string => dataSetWord(50 + below(500));
  const own = (): string => {
    const room = pick(large);
    return `m${room.n}n${1 + below(room.messages)}`;
  };
  const searching = (of: string, user: () => string, query: () => string, more: object = {}): Read => ({
    command: 'search',
    of,
    run: () => search.page(user(), { query: query(), limit: 20, ...more }),
  });
  const list: Read[] = [
    {
      command: 'history',
      of: 'newest 50 of a large room',
      run: () => {
        const room = pick(large);
        return history(sql, member(room), { room: room.id, limit: 50 }, '');
      },
    },
    {
      command: 'history',
      of: '50 before a message, anywhere',
      run: () => {
        const room = pick(large);
        return history(sql, member(room), { room: room.id, before: 1 + below(room.messages), limit: 50 }, '');
      },
    },
    {
      command: 'history',
      of: '100 after a message, anywhere',
      run: () => {
        const room = pick(large);
        return history(sql, member(room), { room: room.id, after: below(room.messages), limit: 100 }, '');
      },
    },
    {
      command: 'sync',
      of: '200 rooms, none moved',
      run: () => {
        const [user, cursors] = cursorsOf(() => 0);
        return sync(sql, user, { cursors, limit: 500, bytes: 1024 * 1024 });
      },
    },
    {
      command: 'sync',
      of: '200 rooms, 20 of them up to 10 behind',
      run: () => {
        const [user, cursors] = cursorsOf(() => (below(10) === 0 ? below(11) : 0));
        return sync(sql, user, { cursors, limit: 500, bytes: 1024 * 1024 });
      },
    },
    {
      command: 'sync',
      of: 'one room, a cursor from anywhere, 200 rows',
      run: () => {
        const room = pick(large);
        const cursors = { [room.id]: below(room.messages) };
        return sync(sql, member(room), { cursors, limit: 200, bytes: 1024 * 1024 });
      },
    },
    {
      command: 'unread',
      of: 'a user in 200 rooms',
      run: () => unread(sql, heavy(), {}),
    },
    { command: 'unread', of: 'anybody', run: () => unread(sql, anybody(), {}) },
    searching('a common word, 200 rooms', heavy, common),
    searching('a word in between, 200 rooms', heavy, medium),
    searching('a rare word, 200 rooms', heavy, rare),
    searching('a word of one message, 200 rooms', heavy, own),
    searching('two words, 200 rooms', heavy, () => `${common()} ${medium()}`),
    searching('a beginning of 2 letters, 200 rooms', heavy, () => rare().slice(0, 2)),
    searching('a beginning of 4 letters, 200 rooms', heavy, () => rare().slice(0, 4)),
    searching('what nobody said, 200 rooms', heavy, () => 'nonesuch'),
    searching('a common word, anybody', anybody, common),
    searching('a rare word, anybody', anybody, rare),
    ...[common, rare, () => rare().slice(0, 3)].map((query, n): Read => ({
      command: 'search',
      of: `${['a common word', 'a rare word', 'a beginning of 3 letters'][n] ?? ''} in the largest room`,
      run: () => search.page(member(largest), { query: query(), room: largest.id, limit: 20 }),
    })),
    searching('a common word of one sender, 200 rooms', heavy, common, { from: dataSetMember(set, largest, 7) }),
    searching('a word in between, half a year ago', heavy, medium, { until: Date.now() - 180 * day }),
    {
      command: 'room:members',
      of: '100 of the largest room, from anywhere',
      run: () => rooms.members(member(largest), { room: largest.id, after: anybody(), limit: 100 }),
    },
    {
      command: 'room:members',
      of: 'admins of the largest room',
      run: () => rooms.members(member(largest), { room: largest.id, role: 'admin', limit: 100 }),
    },
    {
      command: 'room:receipts',
      of: '100 of the largest room, from anywhere',
      run: () => receipts(sql, member(largest), { room: largest.id, after: anybody(), limit: 100 }),
    },
    { command: 'room:list', of: '100 of 200', run: () => rooms.list(heavy(), { scope: 'mine', limit: 100 }) },
    {
      command: 'room:list',
      of: 'open channels, from anywhere',
      run: () => rooms.list(anybody(), { scope: 'open', after: pick(ids), limit: 100 }),
    },
    {
      command: 'room:search',
      of: 'channels by a word',
      run: () => rooms.search(anybody(), { query: `room ${below(97)}`, limit: 20 }),
    },
    { command: 'room:get', of: 'any', run: () => rooms.get(member(largest), largest.id) },
    {
      command: 'mentions',
      of: '50 of a user in 200 rooms',
      run: () => mentions(sql, heavy(), { limit: 50 }),
    },
    { command: 'mentions', of: '50 of anybody', run: () => mentions(sql, anybody(), { limit: 50 }) },
    {
      command: 'thread:history',
      of: '50 of the largest room',
      run: () => {
        const root = below(Math.ceil(largest.messages / 200)) * 200 + 1;
        return threads.history(member(largest), { room: largest.id, root, limit: 50 });
      },
    },
    { command: 'thread:list', of: '50 of anybody', run: () => threads.list(anybody(), { limit: 50 }) },
    {
      command: 'room:pins',
      of: 'a large room',
      run: () => {
        const room = pick(large);
        return pinned(sql, member(room), room.id);
      },
    },
    {
      command: 'message:versions',
      of: 'the largest room',
      run: () =>
        versions(sql, dataSetMember(set, largest, 0), {
          room: largest.id,
          seq: 20 * (6 + 10 * below(Math.floor(largest.messages / 200))),
          limit: 50,
        }),
    },
    {
      command: 'CONNECT',
      of: 'a user in 200 rooms',
      run: async () => {
        const user = heavy();
        await connectLoad.memberships({
          user,
          name: null,
          tier: null,
          key: 'k',
          issuedAt: Date.now(),
          expires: Date.now() + day,
        });
        return connectLoad.summaries(user);
      },
    },
    { command: 'a node', of: 'heads of 1,000 rooms', run: () => headsOf(sql, rotated(ids, below).slice(0, 1000)) },
    {
      command: 'a node',
      of: 'missed events of a large room',
      run: () => {
        const room = pick(large);
        return readBackfill(sql, room.id, room.messages - below(80));
      },
    },
    {
      command: 'a node',
      of: 'events of an outbox row',
      run: () => {
        const room = pick(large);
        const rev = 1 + below(room.messages);
        return eventsBetween(sql, room.id, rev, rev + 20);
      },
    },
    {
      command: 'a node',
      of: 'the tail of a large room',
      run: () => {
        const room = pick(large);
        return recentRows(sql, [{ room: room.id, after: 0 }], 256);
      },
    },
    {
      command: 'a node',
      of: 'who may see whom, 100 pairs',
      run: () => visibility.of(Array.from({ length: 100 }, () => ({ viewer: heavy(), user: anybody() }))),
    },
    {
      command: 'a node',
      of: 'rooms of 100 users',
      run: () =>
        membershipsOf(
          sql,
          Array.from({ length: 100 }, () => anybody()),
        ),
    },
    {
      command: 'history',
      of: 'a room of 50',
      run: () => history(sql, member(smallest), { room: smallest.id, limit: 50 }, ''),
    },
  ];
  return list;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function rotated<T>(list: readonly T[], below: (n: number) => number): T[] {
  const from = below(list.length);
  return [...list.slice(from), ...list.slice(0, from)];
}
