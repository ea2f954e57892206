/** The promises of declarations: a read and a signal store nothing, and a large answer is bounded. */
import { beforeAll, expect, it } from 'vitest';
import type { CommandSchema } from '../../src/protocol/command-schema.ts';
import { commands, type CommandName } from '../../src/protocol/commands.ts';
import { stage } from '../stage.ts';
import { commandNames, formsOf, inputOf } from '../security/inputs.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { tokenOf } from '../support/server.ts';
import { text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

/** Tables that nodes write by themselves, whatever users do. */
const ownTables = ['chores', 'message_search', 'node_confirmations', 'outbox', 'search_rooms'];

const { server, people } = await stage({ people: ['owner', 'fence', 'sender', 'other'], room: 'r' });
const { owner, fence, sender } = people;

beforeAll(async () => {
  await sender.ok('message:send', text('r', 'words'));
  await sender.ok('message:send', { ...text('r', 'an answer'), replyTo: 1 });
});

/** From now on every row that is written is noted, in the transaction that writes it. */
async function noteWrites(): Promise<() => Promise<string[]>> {
  const { sql } = server.database;
  await sql`create table written (n int generated always as identity, what text)`;
  await sql.unsafe(`create function note_write() returns trigger language plpgsql as $$
    begin
      insert into written (what) values (tg_table_name || ' ' || coalesce(to_jsonb(new), to_jsonb(old))::text);
      return null;
    end $$`);
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and relname not in ${sql(['written', ...ownTables])}`;
  for (const { name } of tables) {
    await sql.unsafe(`create trigger note_write after insert or update or delete on ${name}
      for each row execute function note_write()`);
  }
  return async () => {
    const rows = await sql<{ what: string }[]>`select what from written order by n`;
    return rows.map(({ what }) => what);
  };
}

async function moreOf(command: CommandName): Promise<object> {
  if (command === 'auth:refresh') return { token: await tokenOf('owner') };
  return {};
}

it('a command of the kind read or signal stores nothing', async () => {
  const { sql } = server.database;
  await until('the marks of the sender are stored', async () => {
    const [row] = await sql<{ n: number }[]>`
      select last_read_seq::int as n from members where room_id = 'r' and user_id = 'sender'`;
    return row?.n === 2;
  });
  await untilOutboxEmpty(sql);
  const written = await noteWrites();
  const found: [string, string[]][] = [];
  let seen = 0;
  for (const name of commandNames) {
    const { kind } = commands[name];
    if (kind === 'write') continue;
    const [form = {}] = formsOf(name);
    const input = inputOf(name, form, { room: 'r', user: 'other' }, await moreOf(name));
    const ack = (await owner.socket.timeout(15_000).emitWithAck(name, input)) as { ok: boolean };
    expect([name, ack]).toEqual([name, expect.objectContaining({ ok: true })]);
    const all = await written();
    if (all.length > seen) found.push([name, all.slice(seen)]);
    seen = all.length;
  }
  expect(found).toEqual([]);
  // marks are gathered for a while and written together: those that were given before this one are in the table with it
  await fence.ok('delivered', { room: 'r', seq: 2 });
  const late = await until('the mark of the fence is stored', async () => {
    const all = await written();
    return all.length > 0 ? all : undefined;
  });
  expect(late.filter((what) => !what.includes('"user_id": "fence"'))).toEqual([]);
  await owner.ok('user:block', { user: 'other' });
  expect(await written()).toContainEqual(expect.stringMatching(/^blocks .*"other"/));
});

it('an answer of many entries is declared as a page or a list', () => {
  for (const [name, { input, answer }] of Object.entries<CommandSchema>(commands)) {
    const { shape = {} } = input as { shape?: Record<string, unknown> };
    if ('limit' in shape) expect([name, answer]).toEqual([name, expect.stringMatching(/^(page|list)$/)]);
  }
});
