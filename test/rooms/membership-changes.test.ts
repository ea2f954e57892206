import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type postgres from 'postgres';
import {
  membershipChanges,
  membershipStart,
  membershipsOf,
  pruneMembershipChanges,
} from '../../src/rooms/membership-changes.ts';
import { eventsBetween, headsOf, readBackfill } from '../../src/recovery/backfill.ts';
import { openEmbedded } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { until } from '../support/until.ts';
import { createTestDatabase } from '../support/database.ts';
import { closedGate } from '../support/gate.ts';
import { createWriter, makeRoom, send } from '../support/messaging.ts';
import { makeDataDir } from '../support/spawn.ts';

const forms = [
  {
    name: 'Postgres',
    open: async (): Promise<{ sql: postgres.Sql; close: () => Promise<void> }> => {
      const database = await createTestDatabase();
      return { sql: database.sql, close: () => database.drop() };
    },
  },
  {
    name: 'PGlite',
    open: async (): Promise<{ sql: postgres.Sql; close: () => Promise<void> }> => {
      const dataDir = makeDataDir();
      const database = await openEmbedded({
        dataDir: dataDir.path,
        onFatal: (error) => {
          throw error;
        },
      });
      await migrate(database.sql);
      return {
        sql: database.sql,
        async close() {
          await database.close();
          dataDir.remove();
        },
      };
    },
  },
];

describe.each(forms)('changes of membership in $name', ({ name, open }) => {
  let sql: postgres.Sql;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ sql, close } = await open());
  }, 120_000);
  afterAll(() => close());
  afterEach(async () => {
    await sql`delete from rooms`;
    await sql`delete from members`;
    await sql`delete from departures`;
    await sql`delete from membership_changes`;
  });

  /** Changes since the cursor, each pair once, and the next cursor. */
  async function since(cursor: string): Promise<[string, string[]]> {
    const page = await membershipChanges(sql, cursor);
    return [page.cursor, [...new Set((page.changed ?? []).map((one) => `${one.user} ${one.room} ${one.role}`))].sort()];
  }

  /** A cursor past all changes. Transactions of the whole server hold it back, those of other tests too. */
  function settled(cursor: string): Promise<string> {
    return until('the cursor is past the changes', async () => {
      const [next, changed] = await since(cursor);
      cursor = next;
      return changed.length === 0 && next;
    });
  }

  it('are joining, leaving and another role, in present state; not read marks', async () => {
    const { cursor: start } = await membershipStart(sql);
    await makeRoom(sql, 'r', 'ann', 'ben', 'cleo');
    await sql`update members set role = 'guest' where room_id = 'r' and user_id = 'cleo'`;
    await sql`select remove_member('r', 'ben')`;
    const [next, changed] = await since(start);
    expect(changed).toEqual(['ann r owner', 'ben r null', 'cleo r guest']);
    await sql`update members set last_read_seq = 1 where room_id = 'r'`;
    const after = await settled(next);
    await sql`update members set role = 'admin' where room_id = 'r' and user_id = 'cleo'`;
    // the room goes first, what is left of it later
    await sql`delete from rooms where id = 'r'`;
    expect((await since(after))[1]).toEqual(['cleo r null']);
    await sql`delete from members where room_id = 'r'`;
    expect((await since(after))[1]).toEqual(['ann r null', 'cleo r null']);
  });

  it('over a page are reported as too many', async () => {
    const { cursor: start } = await membershipStart(sql);
    await makeRoom(sql, 'r', 'ann', ...Array.from({ length: 9 }, (_, n) => `user-${n}`));
    expect((await membershipChanges(sql, start, 10)).changed).toHaveLength(10);
    expect((await membershipChanges(sql, start, 9)).changed).toBeUndefined();
  });

  it('are kept for an hour and then deleted in batches', async () => {
    await makeRoom(sql, 'r', 'ann', 'ben', 'cleo');
    expect(await pruneMembershipChanges(sql)).toBe(0);
    await sql`update membership_changes set at = now() - interval '61 minutes' where user_id <> 'cleo'`;
    expect(await pruneMembershipChanges(sql, 1)).toBe(1);
    expect(await pruneMembershipChanges(sql)).toBe(1);
    expect(await sql`select user_id from membership_changes`).toMatchObject([{ user_id: 'cleo' }]);
  });

  it('all memberships of users are read whole', async () => {
    await makeRoom(sql, 'r', 'ann', 'ben');
    await makeRoom(sql, 's', 'ben');
    const users = ['ben', ...Array.from({ length: 250 }, (_, n) => `nobody-${n}`), 'ann'];
    const found = (await membershipsOf(sql, users)).map(({ user, room, role }) => `${user} ${room} ${role}`);
    expect(found.sort()).toEqual(['ann r owner', 'ben r member', 'ben s owner']);
  });

  // it takes two transactions at once, and the embedded database has one session
  if (name === 'Postgres')
    it('that commit late, after others that began later, are not missed', async () => {
      await makeRoom(sql, 'r', 'ann', 'ben');
      let { cursor } = await membershipStart(sql);
      const [commit, began] = [closedGate(), closedGate()];
      const late = sql.begin(async (tx) => {
        await tx`select remove_member('r', 'ben')`;
        began.open();
        await commit.opened;
      });
      await began.opened;
      await makeRoom(sql, 'other', 'dan');
      let changed: string[];
      [cursor, changed] = await since(cursor);
      expect(changed).toContain('dan other owner');
      expect(changed).not.toContain('ben r null');
      commit.open();
      await late;
      [cursor, changed] = await since(cursor);
      expect(changed).toContain('ben r null');
      await settled(cursor);
    });
});

describe('what a node missed', () => {
  it('is read in rev order and present state, a page at a time, with the head of the same snapshot', async () => {
    const database = await createTestDatabase();
    try {
      const { sql } = database;
      const { writer } = createWriter(sql, { stripes: 1 });
      const room = await makeRoom(sql, 'r', 'ann');
      await Promise.all(Array.from({ length: 150 }, (_, n) => writer.send(send(room, 'ann', n))));
      const first = await readBackfill(sql, room, 20);
      expect(first).toMatchObject({ head: 150, complete: false });
      expect(first?.events.map(({ rev }) => rev)).toEqual(Array.from({ length: 100 }, (_, n) => n + 21));
      expect(JSON.parse(first?.events[0]?.json ?? '')).toMatchObject({ room, seq: 21, rev: 21, from: 'ann', body: 20 });
      const rest = await readBackfill(sql, room, 120);
      expect(rest).toMatchObject({ head: 150, complete: true });
      expect(rest?.events).toHaveLength(30);
      // as a later change will do: the message moves to a new rev
      await sql`update messages set rev = 151 where room_id = ${room} and seq = 140`;
      await sql`update rooms set last_rev = 151 where id = ${room}`;
      const moved = await readBackfill(sql, room, 138);
      expect(moved?.head).toBe(151);
      expect(moved?.events.map(({ rev }) => rev)).toEqual([139, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151]);
      expect(await readBackfill(sql, room, 151)).toEqual({ head: 151, events: [], complete: true });
      expect(await readBackfill(sql, 'nowhere', 0)).toBeUndefined();
      expect((await eventsBetween(sql, room, 139, 142)).map(({ rev }) => rev)).toEqual([139, 141, 142]);
      expect(await headsOf(sql, ['nowhere', room])).toEqual([{ room, head: 151 }]);
      expect(await headsOf(sql, [])).toEqual([]);
      await writer.stop();
    } finally {
      await database.drop();
    }
  });
});
