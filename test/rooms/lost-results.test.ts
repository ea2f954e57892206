/**
 * A command commits, and another command ends its result before the answer is read. A user left, was removed or was deleted, or
 * the room was deleted. `POST /rooms` answered 404 then, which OpenAPI does not describe for it.
 */
import { expect, it, onTestFinished } from 'vitest';
import { commands, type CommandName } from '../../src/protocol/commands.ts';
import type { WireError } from '../../src/protocol/errors.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';

const { server, sql, people, room, connect } = await stage({ people: ['owner', 'ann', 'stranger'] });
const { owner, stranger } = people;
const backend = await connect('owner', { backend: true });

/** Whether the room is made, and its summary waits for the lock. */
async function isHeld(id: string): Promise<boolean> {
  const rows = await sql`
    select from members m, pg_locks l join pg_class c on c.oid = l.relation
    where m.room_id = ${id} and c.relname = 'departures' and not l.granted`;
  return rows.length > 0;
}

it.each([
  ['the creator left', (id: string) => sql`select remove_member(${id}, 'owner')`],
  ['the creator is deleted', (id: string) => sql`select remove_member(${id}, 'owner', false)`],
  ['the room is deleted', (id: string) => sql`select close_room(${id}, 'owner')`],
])('a new room is a conflict if before the answer %s', async (title, end) => {
  const id = `lost-${title.replaceAll(' ', '-')}`;
  let answer: Promise<Response> | undefined;
  await sql.begin(async (tx) => {
    // the new room needs no row of this table, and its summary reads the table
    await tx`lock table departures in access exclusive mode`;
    answer = fetch(`${server.url}/api/v1/rooms`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await tokenOf('owner')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'channel', name: 'Lost', id }),
    });
    await until('the server reads the summary', () => isHeld(id));
    await tx`${end(id)}`;
  });
  const response = await answer;
  expect(await response?.json()).toMatchObject({
    status: 409,
    code: 'conflict',
    detail: expect.stringContaining('made'),
  });
});

/** Ends the membership of the user in the transaction of the command, after the command. */
async function endingAtCommit(row: string, id: string, user: string): Promise<void> {
  await sql.unsafe(`
    create function end_membership() returns trigger language plpgsql as $$ begin
      if exists (select from members where room_id = '${id}' and user_id = '${user}') then
        perform put_out('${id}', '${user}');
      end if;
      return null;
    end $$;
    create constraint trigger end_membership after ${row} deferrable initially deferred
      for each row execute function end_membership()`);
  onTestFinished(async () => {
    await sql.unsafe('drop function end_membership() cascade');
  });
}

async function accept(id: string): Promise<WireError> {
  await owner.ok('invitation:create', { room: id, user: 'stranger' });
  return stranger.error('invitation:accept', { room: id });
}

async function joinByLink(id: string): Promise<WireError> {
  const { token } = await owner.ok('link:create', { room: id });
  return stranger.error('link:join', { token });
}

type Case = [CommandName, row: string, ends: string, code: string, run: (room: string) => Promise<WireError>];

const entered = 'insert on members';
const changed = 'update on members';

it.each([
  [
    'room:create',
    entered,
    'owner',
    'conflict',
    (id) => owner.error('room:create', { kind: 'group', name: 'x', id: `${id}-2` }),
  ],
  ['room:join', entered, 'stranger', 'not_found', (id) => stranger.error('room:join', { room: id })],
  [
    'room:update',
    'update on rooms',
    'owner',
    'not_found',
    (id) => owner.error('room:update', { room: id, topic: 'x' }),
  ],
  ['room:archive', 'update on rooms', 'owner', 'not_found', (id) => owner.error('room:archive', { room: id })],
  [
    'room:role',
    changed,
    'ann',
    'not_found',
    (id) => owner.error('room:role', { room: id, user: 'ann', role: 'admin' }),
  ],
  ['room:transfer', changed, 'ann', 'not_found', (id) => owner.error('room:transfer', { room: id, user: 'ann' })],
  [
    'room:invite',
    entered,
    'stranger',
    'not_found',
    (id) => backend.error('room:invite', { room: id, user: 'stranger' }),
  ],
  ['invitation:accept', entered, 'stranger', 'not_found', accept],
  ['link:join', entered, 'stranger', 'not_found', joinByLink],
] satisfies Case[])(
  '%s has a documented error if its result ended before the answer',
  async (command, row, user, code, run) => {
    const id = await room('channel');
    const declared: readonly string[] = commands[command].errors;
    await endingAtCommit(row, command === 'room:create' ? `${id}-2` : id, user);
    const error = await run(id);
    expect(error).toMatchObject({ code, message: expect.stringContaining('before the answer') });
    expect(declared).toContain(code);
  },
);
