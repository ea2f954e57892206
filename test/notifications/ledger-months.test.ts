/** The months of the ledger: made before they begin, filled with earlier rows, and dropped after the days of the setting. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { keepMonths } from '../../src/notifications/ledger-months.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const dayMs = 86_400_000;
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  const months = await monthsOf();
  for (const name of months) await database.sql`drop table ${database.sql(name)}`;
  await database.sql`delete from notifications_rest`;
});

async function monthsOf(): Promise<string[]> {
  const rows = await database.sql<{ name: string }[]>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'notifications'::regclass and c.relname <> 'notifications_rest' order by c.relname`;
  return rows.map(({ name }) => name);
}

async function note(at: string, createdAt = at): Promise<string> {
  const id = randomUUID();
  await database.sql`
    insert into notifications (id, at, room_id, seq, user_id, channel, kind, lane, state, created_at)
    values (${id}, ${at}::text::timestamptz, 'hall', 1, 'ann', 'app', 'mention', 'high', 'sent', ${createdAt}::text::timestamptz)`;
  return id;
}

const placeOf = async (id: string): Promise<string | undefined> =>
  (
    await database.sql<{ name: string }[]>`select tableoid::regclass::text as name from notifications where id = ${id}`
  )[0]?.name;

const keep = (at: string, ledgerDays = 30): Promise<void> =>
  keepMonths({ sql: database.sql, ledgerDays, now: () => Date.parse(at) });

it('makes this month and the next one, also over the end of a year', async () => {
  await keep('2026-12-31T23:59:59.999Z');
  expect(await monthsOf()).toEqual(['notifications_m2026_12', 'notifications_m2027_01']);
  expect(await placeOf(await note('2026-12-31T23:59:59.999Z'))).toBe('notifications_m2026_12');
  expect(await placeOf(await note('2027-01-01T00:00:00Z'))).toBe('notifications_m2027_01');
  expect(await placeOf(await note('2027-02-01T00:00:00Z'))).toBe('notifications_rest');
});

it('moves the rows of a month that came before it, and does nothing twice', async () => {
  const early = await note('2026-06-15T12:00:00Z');
  const other = await note('2026-08-01T00:00:00Z');
  await keep('2026-06-20T00:00:00Z');
  await keep('2026-06-20T01:00:00Z');
  expect(await placeOf(early)).toBe('notifications_m2026_06');
  expect(await placeOf(other)).toBe('notifications_rest');
});

it('drops a month when its last day is older than the setting', async () => {
  await keep('2026-03-10T00:00:00Z');
  const kept = await note('2026-03-10T00:00:00Z');
  // the first day of which no notification of March is kept
  const end = Date.parse('2026-04-01T00:00:00Z') + 30 * dayMs;
  await keep(new Date(end - 1).toISOString());
  expect(await placeOf(kept)).toBe('notifications_m2026_03');
  await keep(new Date(end).toISOString());
  expect(await placeOf(kept)).toBeUndefined();
  expect(await monthsOf()).not.toContain('notifications_m2026_03');
});

it('deletes old rows without a month by the time at which they were stored', async () => {
  const imported = await note('2020-01-01T00:00:00Z', '2026-03-09T00:00:00Z');
  const old = await note('2020-01-01T00:00:00Z', '2026-02-07T23:59:59Z');
  await keep('2026-03-10T00:00:00Z');
  expect(await placeOf(imported)).toBe('notifications_rest');
  expect(await placeOf(old)).toBeUndefined();
});

it('a role that may not make tables keeps all rows without months', async () => {
  const { sql } = database;
  const role = `writer_${randomUUID().slice(0, 8)}`;
  const [old, fresh] = [await note('2026-01-01T00:00:00Z'), await note('2026-03-09T00:00:00Z')];
  await sql.begin(async (tx) => {
    await tx`create role ${tx(role)}`;
    await tx`grant select, delete on notifications_rest to ${tx(role)}`;
    await tx`grant select on notifications to ${tx(role)}`;
    await tx`set local role ${tx(role)}`;
    await keepMonths({ sql: tx as never, ledgerDays: 30, now: () => Date.parse('2026-03-10T00:00:00Z') });
    await tx`reset role`;
    await tx`drop owned by ${tx(role)}`;
    await tx`drop role ${tx(role)}`;
  });
  expect(await monthsOf()).toEqual([]);
  expect(await placeOf(old)).toBeUndefined();
  expect(await placeOf(fresh)).toBe('notifications_rest');
});
