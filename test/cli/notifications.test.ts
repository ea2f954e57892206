/** `parley notifications explain`. `npm run build` must have been run. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { explanationLine } from '../../src/cli/notifications.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/server.ts';
import { runProgram } from '../support/spawn.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const { sql } = database;
  await sql`insert into users (id) values ('ann'), ('ben'), ('cat')`;
  await sql`insert into rooms (id, kind, name, created_by, member_count) values ('hall', 'group', 'Hall', 'ann', 2)`;
  await sql`insert into members (room_id, user_id, role) values ('hall', 'ann', 'owner'), ('hall', 'ben', 'member')`;
  const batch = JSON.stringify([['hall', '00000000-0000-4000-8000-000000000001', 'ann', { text: 'hi' }, null, null]]);
  await sql`select from append_messages(array['hall'], ${batch}::text::jsonb, '{}'::bigint[])`;
});
afterAll(() => database.drop());

const explain = (...args: string[]) =>
  runProgram(['notifications', 'explain', ...args], { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret });
const of = (user: string, seq = '1') => explain('--user', user, '--room', 'hall', '--seq', seq);

it('prints the state of each channel, and without a row the reason of now', async () => {
  expect(await of('ben')).toMatchObject({ code: 0, stdout: 'app  waiting  not stored\n' });
  await database.sql`update outbox set notified = true`;
  expect(await of('ben')).toMatchObject({ code: 0, stdout: 'app  dropped (level)  not stored\n' });
  expect(await of('cat')).toMatchObject({ code: 0, stdout: 'app  dropped (left)  not stored\n' });
  await database.sql`
    insert into notifications (id, at, room_id, seq, user_id, channel, kind, lane, state, reason, due_at, created_at, updated_at)
    values (gen_random_uuid(), now(), 'hall', 1, 'ben', 'app', 'mention', 'high', 'waiting', 'quiet',
      '2026-12-02T06:00:00Z', '2026-12-01T20:00:00Z', '2026-12-01T20:00:01Z')`;
  expect(await of('ben')).toMatchObject({
    code: 0,
    // the user had no device
    stdout:
      'app  waiting (quiet)  due 2026-12-02T06:00:00.000Z  mention high  stored 2026-12-01T20:00:00.000Z  changed 2026-12-01T20:00:01.000Z\npush  dropped (no_device)  not stored\n',
  });
});

it.each([
  [[], 'needs --user U, --room R and --seq N'],
  [['--user', 'ann', '--room', 'hall', '--seq', '0'], 'needs --user U, --room R and --seq N'],
  [['--user', 'a b', '--room', 'hall', '--seq', '1'], 'needs --user U, --room R and --seq N'],
  [['--user', 'ann', '--room', 'hall', '--seq', '2'], 'The room has no such message.'],
  [['--user', 'ann', '--room', 'none', '--seq', '1'], 'The room has no such message.'],
])('%j is refused in plain words', async (args, message) => {
  const { code, stdout, stderr } = await explain(...args);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

it('names the device, and leaves out a time that is not there', () => {
  const sent = { channel: 'push', device: 'd1', kind: 'direct', lane: 'high', state: 'sent', reason: null } as const;
  const times = {
    stored: true,
    attempts: 1,
    error: null,
    due: null,
    created: Date.parse('2026-12-01T20:00:00Z'),
    updated: null,
  };
  expect(explanationLine({ ...sent, ...times })).toBe(
    'push d1  sent  direct high  stored 2026-12-01T20:00:00.000Z  changed -',
  );
});
