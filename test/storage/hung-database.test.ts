/** A Postgres that hangs: it has what was sent to it, and answers nothing. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clientError } from '../../src/storage/failure.ts';
import { openServer, type Database } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { createWriter, makeRoom, send } from '../support/messaging.ts';
import { startOwnPostgres, type OwnService } from '../support/services.ts';
import { until } from '../support/until.ts';

let postgres: OwnService;
let database: Database;
beforeAll(async () => {
  postgres = await startOwnPostgres();
  database = await openServer({ url: `${postgres.url}?statement_timeout=1s`, poolSize: 3 });
  await database.migrating(migrate);
}, 60_000);
afterAll(async () => {
  signalAll('SIGCONT');
  await database.close();
  await postgres.stop();
});

/** To the server and to the process of each session. */
function signalAll(signal: NodeJS.Signals): void {
  const children = execFileSync('pgrep', ['-P', String(postgres.pid())], { encoding: 'utf8' });
  for (const pid of [postgres.pid(), ...children.trim().split('\n').map(Number)]) process.kill(pid, signal);
}

const codeOf = (requested: Promise<unknown>): Promise<string> =>
  requested.then(
    () => 'answered',
    (error: unknown) => (clientError(error) as { code: string }).code,
  );

it('a commit ends as unavailable within 25 s, and is the same message when it is sent again', async () => {
  const { writer } = createWriter(database.sql, { stripes: 1 });
  const room = await makeRoom(database.sql, 'hung', 'ann');
  await writer.send(send(room, 'ann', 'before'));
  const doubtful = send(room, 'ann', 'doubtful');

  signalAll('SIGSTOP');
  const started = performance.now();
  const answers = await Promise.all([
    codeOf(writer.send(doubtful)),
    // a command that is no commit of the writer's
    codeOf(database.sql`select create_room('late', 'group', 'late', 'ann', null, 10)`),
  ]);
  expect(answers).toEqual(['unavailable', 'unavailable']);
  expect(performance.now() - started).toBeLessThan(25_000);
  signalAll('SIGCONT');

  await until('the pool answers', () =>
    database.sql`select 1`.then(
      () => true,
      () => false,
    ),
  );
  const again = await writer.send(doubtful);
  expect(again.seq).toBe(2);
  const after = await writer.send(send(room, 'ann', 'after'));
  expect(after.seq).toBe(3);
  expect(await database.sql`select seq, body from messages where room_id = ${room} order by seq`).toEqual([
    { seq: 1, body: '"before"' },
    { seq: 2, body: '"doubtful"' },
    { seq: 3, body: '"after"' },
  ]);
  await writer.stop();
}, 60_000);
