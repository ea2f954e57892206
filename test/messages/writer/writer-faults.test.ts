import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asAdministrator, createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { assertDense, createWriter, makeRoom, send } from '../../support/messaging.ts';
import { until } from '../../support/until.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  // Refuses bodies {"raise": SQLSTATE, "times": n} as often as they say; sequences do not roll back.
  await database.sql`create sequence raised`;
  await database.sql.unsafe(`
    create function raise_as_told() returns trigger language plpgsql as $$
    begin
      if new.body ? 'raise' and nextval('raised') <= coalesce((new.body->>'times')::int, 1000000000) then
        raise exception 'as published' using errcode = new.body->>'raise';
      end if;
      return new;
    end $$;
    create trigger raise_as_told before insert on messages for each row
      when (jsonb_typeof(new.body) = 'object') execute function raise_as_told()`);
});
afterAll(async () => {
  await assertDense(database.sql);
  await database.drop();
});

async function storedBodies(room: string): Promise<string[]> {
  const rows = await database.sql<{ body: string }[]>`select body from messages where room_id = ${room} order by seq`;
  return rows.map(({ body }) => body);
}

describe('when Postgres refuses a row', () => {
  it.each([
    ['22P05', 'invalid', 'a value that it cannot store'],
    ['54000', 'invalid', 'a limit of the program'],
    ['XX000', 'internal', 'a fault of ours'],
  ])('%s fails alone with %s (%s); its neighbours are stored', async (raise, code) => {
    const { writer, metric } = createWriter(database.sql, { stripes: 1 });
    const room = await makeRoom(database.sql, `poison-${raise}`, 'ann');
    const bodies = Array.from({ length: 40 }, (_, n) => (n === 13 || n === 31 ? { raise } : n));
    const answers = await Promise.allSettled(bodies.map((body) => writer.send(send(room, 'ann', body))));
    answers.forEach((answer, n) => {
      if (n === 13 || n === 31) expect(answer).toMatchObject({ reason: { code } });
      else expect(answer).toMatchObject({ status: 'fulfilled' });
    });
    const good = bodies.filter((body) => typeof body === 'number');
    expect(await storedBodies(room)).toEqual(good.map(String));
    expect(await metric('parley_internal_errors_total{where="writer"}')).toBe(code === 'internal' ? 2 : 0);
  });
});

describe('when a commit fails for a while', () => {
  it.each([
    ['40001', 'serialization'],
    ['40P01', 'deadlock'],
    ['23505', 'unique'],
    ['57P01', 'connection'],
  ])('%s is tried again until it is through, and counted as %s', async (raise, reason) => {
    const { writer, published: received, metric } = createWriter(database.sql, { stripes: 1 });
    const room = await makeRoom(database.sql, `retry-${raise}`, 'ann');
    await database.sql`select setval('raised', 1, false)`;
    const sends = [1, { raise, times: 3 }, 3].map((body) => writer.send(send(room, 'ann', body)));
    expect((await Promise.all(sends)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(await metric(`parley_writer_retries_total{reason="${reason}"}`)).toBe(3);
    expect(received).toHaveLength(3);
  });

  it('and longer than it may, all that wait are unavailable with retryAfter, and what is sent later is stored', async () => {
    const { writer } = createWriter(database.sql, { stripes: 1, retryMs: 0, maxBatch: 2 });
    const room = await makeRoom(database.sql, 'given-up', 'ann');
    const bodies = [1, { raise: '57P03' }, 3, 4];
    const answers = await Promise.allSettled(bodies.map((body) => writer.send(send(room, 'ann', body))));
    for (const answer of answers) {
      expect(answer).toMatchObject({ reason: { code: 'unavailable', retryable: true, retryAfter: 1000 } });
    }
    expect(await writer.send(send(room, 'ann', 5))).toMatchObject({ seq: 1 });
  });

  it('because its connections are killed under load, every send is stored once all the same', async () => {
    const { writer, published: received, metric } = createWriter(database.sql, { maxBatch: 20 });
    const rooms = await Promise.all(['k1', 'k2', 'k3'].map((room) => makeRoom(database.sql, room, 'ann')));
    const name = new URL(database.url).pathname.slice(1);
    const kills = 15;
    let killed = 0;
    const acks: number[] = [];
    const killer = asAdministrator(async (sql) => {
      while (killed < kills) {
        const rows = await sql`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = ${name} and state <> 'idle' and query like '%append_messages%' limit 1`;
        killed += rows.count;
        // one at a time: a commit that is killed at every attempt is given up in the end
        const before = acks.length;
        if (rows.count > 0) await until('something got through', () => acks.length > before);
      }
    });
    for (let n = 0; killed < kills; n++) {
      const wave = rooms.flatMap((room) => [send(room, 'ann', n), send(room, 'ann', -n)]);
      const answers = await Promise.all(wave.map((one) => writer.send(one)));
      acks.push(...answers.map(({ seq }) => seq));
      await nextTurn();
    }
    await killer;
    expect(await metric('parley_writer_retries_total{reason="connection"}')).toBeGreaterThan(0);
    const [counted] = await database.sql`
      select count(*) as messages, count(distinct id) as ids from messages where room_id = any (${rooms})`;
    expect(counted).toEqual({ messages: acks.length, ids: acks.length });
    // nodes drop a rev that they had before, so each is published at least once
    expect(new Set(received.map((e) => (e.to === 'room' ? `${e.room} ${e.rev}` : ''))).size).toBe(acks.length);
  });
});
