/**
 * node --import tsx bench/search.ts [seconds] [messages]
 *
 * The cost of search for senders, and the time of a search; with 0 seconds the searches alone. First the writer runs alone with
 * 800 sends under way, with four kinds of index in turn. The kinds are none, a GIN index on the expression, a GIN index on a
 * generated column, and the table of Parley. Then searches run in a filled table.
 */
import { randomUUID } from 'node:crypto';
import { MemoryFanout } from '../src/fanout/memory.ts';
import { SearchIndex } from '../src/search/search-index.ts';
import { Writer } from '../src/messages/writer/writer.ts';
import { openServer } from '../src/storage/database.ts';
import { migrate } from '../src/storage/migrate.ts';
import { createLog } from '../src/telemetry/log.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { openPostgres } from './postgres.ts';
import { createSearch } from '../test/support/messaging.ts';

const seconds = Number(process.argv[2] ?? 5);
const filled = Number(process.argv[3] ?? 300_000);
const log = createLog({ level: 'silent', pretty: false, node: 'bench' });
const words = Array.from({ length: 20_000 }, (_, n) => `w${n.toString(36)}x`);
/** Words as common as in language: the n-th is about 1/n as frequent as the first. */
const word = (): string => words[Math.floor(words.length ** Math.random()) - 1] ?? 'w0x';
const middle = (of: number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] ?? 0;
const sentence = (): string => Array.from({ length: 12 }, word).join(' ');

const service = await openPostgres();
if (typeof service === 'string') throw new Error(service);
const database = await openServer({ url: service.url, poolSize: 6, statementTimeoutMs: 600_000 });
const { sql } = database;
try {
  await migrate(sql);
  await sql`insert into users (id) select 'u' || n from generate_series(1, 100) n`;
  await sql`insert into rooms (id, kind, created_by) select 'r' || n, 'group', 'u1' from generate_series(1, 300) n`;
  await sql`insert into members (room_id, user_id, role) select 'r' || r, 'u' || u, 'member' from generate_series(1, 300) r, generate_series(1, 100) u where u = 1 or (r + u) % 10 = 0`;
  await sql`update rooms r set member_count = (select count(*) from members m where m.room_id = r.id)`;
  const indexes: Record<string, { make: string[]; drop: string[] }> = {
    'no index': { make: [], drop: [] },
    'GIN on the expression': {
      make: [`create index bench_words on messages using gin (to_tsvector('simple', search_text(body)))`],
      drop: ['drop index bench_words'],
    },
    'GIN on a generated column': {
      make: [
        `alter table messages add column words tsvector generated always as (to_tsvector('simple', search_text(body))) stored`,
        'create index bench_words on messages using gin (words)',
      ],
      drop: ['alter table messages drop column words'],
    },
    'table, after the commit': { make: [], drop: [] },
  };
  const rates = new Map<string, number[]>();
  for (let round = 0; round < (seconds > 0 ? 3 : 0); round++) {
    for (const [name, { make, drop }] of Object.entries(indexes)) {
      for (const table of ['messages', 'message_search', 'search_rooms', 'outbox']) await sql`truncate ${sql(table)}`;
      await sql`update rooms set last_seq = 0, last_rev = 0`;
      for (const statement of make) await sql.unsafe(statement);
      await sql`checkpoint`;
      const { rate, late } = await sendFor(name.startsWith('table'));
      for (const statement of drop) await sql.unsafe(statement);
      rates.set(name, [...(rates.get(name) ?? []), rate]);
      console.log(
        `${name}: ${Math.round(rate)} sends/s${late === undefined ? '' : `, all searchable ${Math.round(late)} ms after the last`}`,
      );
    }
  }
  const base = middle(rates.get('no index') ?? []);
  for (const [name, of] of rates) console.log(`${name}: ${(middle(of) / base).toFixed(2)} of none`);
  await searches();
} finally {
  await database.close();
  await service.stop();
}

async function sendFor(indexed: boolean): Promise<{ rate: number; late: number | undefined }> {
  const metrics = new Metrics();
  const fanout = new MemoryFanout((envelopes) => {
    for (const envelope of envelopes) if (envelope.to === 'room') index?.note(envelope.room);
  });
  const writer = new Writer({ sql, fanout, metrics, log, stripes: 2, maxBatch: 500, maxWaiting: 20_000 });
  const index = indexed
    ? new SearchIndex({ sql, metrics, log, language: 'simple', busy: () => writer.waiting > 0, sweepMs: 60_000 })
    : undefined;
  let sent = 0;
  const from = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - from < seconds * 1000) {
      const room = `r${1 + Math.floor(Math.random() * 300)}`;
      const body = JSON.stringify({ text: sentence() });
      await writer.send({
        room,
        id: randomUUID(),
        sender: 'u1',
        senderName: null,
        body,
        replyTo: undefined,
        lane: undefined,
        mentions: undefined,
      });
      sent++;
    }
  };
  await Promise.all(Array.from({ length: 800 }, worker));
  const ended = performance.now();
  let late: number | undefined;
  while (index !== undefined) {
    const [behind] = await sql`
      select r.id from rooms r left join search_rooms s on s.room_id = r.id where r.last_rev > coalesce(s.rev, 0) limit 1`;
    if (behind === undefined) {
      late = performance.now() - ended;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await index?.stop();
  await writer.stop();
  return { rate: sent / ((ended - from) / 1000), late };
}

async function searches(): Promise<void> {
  for (const table of ['messages', 'message_search', 'search_rooms']) await sql`truncate ${sql(table)}`;
  const perRoom = Math.ceil(filled / 300);
  await sql`create table bench_words (n serial, word text)`;
  await sql`insert into bench_words (word) select * from unnest(${words}::text[])`;
  await sql`create index on bench_words (n)`;
  for (let room = 1; room <= 300; room++) {
    const texts = Array.from({ length: perRoom }, () => JSON.stringify({ text: sentence() }));
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select ${`r${room}`}, n, gen_random_uuid(), n, 'u1', b::jsonb, now() - interval '1 year' * (1 - n::float / ${perRoom})
      from unnest(${texts}::text[]) with ordinality as t (b, n)`;
    await sql`update rooms set last_seq = ${perRoom}, last_rev = ${perRoom} where id = ${`r${room}`}`;
    await sql`select * from index_messages(${[`r${room}`]}::text[], 'simple', ${perRoom + 1})`;
  }
  await sql`vacuum analyze`;
  const [size] =
    await sql`select pg_size_pretty(pg_total_relation_size('message_search')) as search, pg_size_pretty(pg_total_relation_size('messages')) as messages`;
  console.log(`${perRoom * 300} messages`, size);
  const search = createSearch(sql);
  const queries: [string, string, string | undefined, () => string][] = [
    ['a common word, in 300 rooms', 'u1', undefined, () => words[0] ?? ''],
    ['a common word, in 30 rooms', 'u5', undefined, () => words[0] ?? ''],
    ['a common word, in one room', 'u1', 'r7', () => words[0] ?? ''],
    ['a rare word, in 300 rooms', 'u1', undefined, () => words[15_000 + Math.floor(Math.random() * 5000)] ?? ''],
    ['a rare word, in 30 rooms', 'u5', undefined, () => words[15_000 + Math.floor(Math.random() * 5000)] ?? ''],
    ['two words, in 30 rooms', 'u5', undefined, () => `${words[3]} ${word()}`],
    ['a beginning of 2 letters, in 30 rooms', 'u5', undefined, () => word().slice(0, 2)],
    ['an unused word, in 300 rooms', 'u1', undefined, () => 'nonesuch'],
  ];
  for (const [name, user, room, query] of queries) {
    const times: number[] = [];
    for (let n = 0; n < 60; n++) {
      const from = performance.now();
      await search.page(user, { query: query(), limit: 20, ...(room === undefined ? {} : { room }) });
      times.push(performance.now() - from);
    }
    times.sort((a, b) => a - b);
    console.log(`${name}: p50 ${times[30]?.toFixed(1)} ms, p95 ${times[57]?.toFixed(1)} ms`);
  }
}
