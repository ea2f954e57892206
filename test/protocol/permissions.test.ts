/** Every role of every kind of room tries every action: what happens is what the table of roles says. */
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actions, below, gives, may, type ActionName, type RoleOrNobody } from '../../src/protocol/permissions.ts';
import type { Role, RoomKind } from '../../src/protocol/model.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

const roles = ['owner', 'admin', 'member', 'guest'] as const satisfies Role[];
const rolesOrNobody: readonly RoleOrNobody[] = [...roles, 'nobody'];

/** Message 1 is of `subject`, message 2 of the acting user. */
const attempts: Record<ActionName, (room: string) => readonly [string, object][]> = {
  read: (room) => [
    ['history', { room }],
    ['room:members', { room }],
  ],
  mark: (room) => [['read', { room, seq: 1 }]],
  signal: (room) => [['signal', { room, name: 'typing' }]],
  send: (room) => [['message:send', text(room, 'x')]],
  react: (room) => [
    ['reaction:add', { room, seq: 1, emoji: '👍' }],
    ['reaction:remove', { room, seq: 1, emoji: '👍' }],
  ],
  own: (room) => [
    ['message:edit', { room, seq: 2, body: 'y' }],
    ['message:delete', { room, seq: 2 }],
  ],
  moderate: (room) => [
    ['message:edit', { room, seq: 1, body: 'y' }],
    ['message:delete', { room, seq: 1 }],
  ],
  pin: (room) => [
    ['message:pin', { room, seq: 1 }],
    ['message:unpin', { room, seq: 1 }],
  ],
  versions: (room) => [['message:versions', { room, seq: 1 }]],
  join: (room) => [['room:join', { room }]],
  leave: (room) => [['room:leave', { room }]],
  invite: (room) => [['invitation:create', { room, user: 'newcomer', role: 'guest' }]],
  invitations: (room) => [
    ['invitation:list', { room }],
    ['invitation:cancel', { room, user: 'invited' }],
  ],
  add: (room) => [['room:invite', { room, user: 'newcomer', role: 'guest' }]],
  link: (room) => [['link:create', { room }]],
  links: (room) => [
    ['link:list', { room }],
    ['link:revoke', { room, id: linkId }],
  ],
  role: (room) => [['room:role', { room, user: 'subject', role: 'guest' }]],
  remove: (room) => [['room:remove', { room, user: 'subject' }]],
  mute: (room) => [
    ['room:mute', { room, user: 'subject' }],
    ['room:unmute', { room, user: 'subject' }],
  ],
  ban: (room) => [
    ['room:ban', { room, user: 'subject' }],
    ['room:bans', { room }],
    ['room:unban', { room, user: 'subject' }],
  ],
  update: (room) => [['room:update', { room, topic: 'news' }]],
  retention: (room) => [['room:update', { room, retentionDays: 30 }]],
  archive: (room) => [
    ['room:archive', { room }],
    ['room:unarchive', { room }],
  ],
  transfer: (room) => [['room:transfer', { room, user: 'subject' }]],
  delete: (room) => [['room:delete', { room }]],
};

const linkId = '0123456789abcdef';

interface Case {
  readonly room: string;
  readonly kind: RoomKind;
  readonly held: RoleOrNobody;
  readonly action: ActionName;
  readonly archived: boolean;
}

const cases: Case[] = [];
for (const kind of ['direct', 'group', 'channel'] as const) {
  for (const held of kind === 'direct' ? (['member', 'nobody'] as const) : rolesOrNobody) {
    for (const action of Object.keys(actions) as ActionName[]) {
      // a member joins again, which changes nothing
      if (action === 'join' && held !== 'nobody') continue;
      for (const archived of kind === 'direct' ? [false] : [false, true]) {
        cases.push({ room: `case-${cases.length}`, kind, held, action, archived });
      }
    }
  }
}

interface Pair {
  readonly room: string;
  readonly actor: Role;
  readonly subject: Role;
  readonly command: 'room:remove' | 'room:mute' | 'room:ban' | 'room:role';
  readonly role?: 'admin' | 'member' | 'guest';
}

const pairs: Pair[] = [];
for (const actor of roles) {
  for (const subject of roles) {
    const add = (rest: Pick<Pair, 'command' | 'role'>) =>
      pairs.push({ room: `pair-${pairs.length}`, actor, subject, ...rest });
    for (const command of ['room:remove', 'room:mute', 'room:ban'] as const) add({ command });
    for (const role of ['admin', 'member', 'guest'] as const) add({ command: 'room:role', role });
  }
}

/** Rooms as they stand before anybody acts, in three statements. */
async function seed(sql: postgres.Sql): Promise<void> {
  await sql`insert into users (id) select unnest(${[...rolesOrNobody, 'subject', 'newcomer']}::text[])`;
  const rooms = [
    ...cases.map(({ room, kind, archived }) => ({ room, kind, archived })),
    ...pairs.map(({ room }) => ({ room, kind: 'group', archived: false })),
  ];
  const members = [
    ...cases.flatMap(({ room, kind, held }) => [
      ...(held === 'nobody' ? [] : [{ room, user: held, role: held }]),
      { room, user: 'subject', role: 'member' },
      ...(kind !== 'direct' && held !== 'owner' ? [{ room, user: 'founder', role: 'owner' }] : []),
    ]),
    ...pairs.flatMap(({ room, actor, subject }) => [
      { room, user: actor, role: actor },
      { room, user: 'subject', role: subject },
    ]),
  ];
  await sql`insert into users (id) values ('founder')`;
  await sql`
    insert into rooms (id, kind, name, created_by, member_count, last_seq, last_rev, archived_at)
    select r ->> 'room', r ->> 'kind', 'Room', 'founder', 3, 2, 2, case when (r ->> 'archived')::boolean then now() end
    from jsonb_array_elements(${JSON.stringify(rooms)}::text::jsonb) r`;
  await sql`
    insert into members (room_id, user_id, role)
    select m ->> 'room', m ->> 'user', m ->> 'role'
    from jsonb_array_elements(${JSON.stringify(members)}::text::jsonb) m`;
  // by the acting user: plain members delete their own messages alone
  const waiting = cases.filter(({ action }) => action === 'invitations' || action === 'links');
  await sql`
    insert into invitations (room_id, user_id, role, invited_by, expires_at)
    select * from unnest(${waiting.map(({ room }) => room)}::text[], ${waiting.map(() => 'invited')}::text[],
      ${waiting.map(() => 'member')}::text[], ${waiting.map(({ held }) => held)}::text[]) w,
      (select now() + interval '1 day') e`;
  await sql`
    insert into join_links (room_id, id, token_hash, role, made_by)
    select r, ${linkId}, sha256(r::bytea), 'member', 'founder' from unnest(${waiting.map(({ room }) => room)}::text[]) r`;
  const authors = cases.flatMap(({ room, held }) => [
    { room, seq: 1, user: 'subject' },
    { room, seq: 2, user: held },
  ]);
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
    select m ->> 'room', (m ->> 'seq')::int, gen_random_uuid(), (m ->> 'seq')::int, m ->> 'user', '"x"', now()
    from jsonb_array_elements(${JSON.stringify(authors)}::text::jsonb) m`;
}

let server: TestServer;
const clients = new Map<RoleOrNobody, StockClient>();
beforeAll(async () => {
  server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '100000', PARLEY_COMMAND_BURST: '100000' });
  await seed(server.database.sql);
  // new connections are in the rooms
  for (const user of rolesOrNobody) clients.set(user, await connectStock(server.url, await tokenOf(user)));
});
afterAll(async () => {
  for (const client of clients.values()) client.close();
  await server.stop();
});

async function attempt(user: RoleOrNobody, command: string, input: object): Promise<string> {
  const ack = (await clients.get(user)?.socket.timeout(15_000).emitWithAck(command, input)) as {
    ok: boolean;
    error?: { code: string };
  };
  return ack.ok ? 'ok' : (ack.error?.code ?? '');
}

function expected({ action, kind, held, archived }: Case): string {
  if (may(action, kind, held)) return archived && !actions[action].archived ? 'forbidden' : 'ok';
  if (held !== 'nobody') return 'forbidden';
  // answered without a check of the room
  if (action === 'signal') return 'not_member';
  if (action === 'mark') return 'not_found';
  return kind === 'channel' ? 'not_member' : 'not_found';
}

describe.each(['direct', 'group', 'channel'] as const)('in a room of the kind %s', (kind) => {
  it.each(kind === 'direct' ? (['member', 'nobody'] as const) : rolesOrNobody)(
    '%s may what the table says',
    async (held) => {
      const found: string[] = [];
      const due: string[] = [];
      for (const one of cases.filter((c) => c.kind === kind && c.held === held)) {
        for (const [command, input] of attempts[one.action](one.room)) {
          const title = `${one.action} (${command})${one.archived ? ', archived' : ''}`;
          found.push(`${title}: ${await attempt(held, command, input)}`);
          due.push(`${title}: ${expected(one)}`);
        }
      }
      expect(found).toEqual(due);
    },
  );
});

it('one acts upon the roles below, and gives no other', async () => {
  const found: string[] = [];
  const due: string[] = [];
  for (const { room, actor, subject, command, role } of pairs) {
    const title = `${actor}: ${command} of ${subject}${role === undefined ? '' : ` to ${role}`}`;
    const action = command.slice('room:'.length) as ActionName;
    const reaches = below[actor].includes(subject) && (role === undefined || gives[actor].includes(role));
    const allowed = may(action, 'group', actor) && (role === subject || reaches);
    found.push(
      `${title}: ${await attempt(actor, command, { room, user: 'subject', ...(role === undefined ? {} : { role }) })}`,
    );
    due.push(`${title}: ${allowed ? 'ok' : 'forbidden'}`);
  }
  expect(found).toEqual(due);
});
