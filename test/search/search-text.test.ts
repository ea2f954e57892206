/** Words of all languages are found as they were written, on both forms of Postgres. */
import * as fc from 'fast-check';
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pieces } from '../../src/search/search.ts';
import type { CommandOutput } from '../../src/protocol/commands.ts';
import { openEmbedded } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { createTestDatabase } from '../support/database.ts';
import { createSearch, createWriter, makeRoom, send } from '../support/messaging.ts';
import { makeDataDir } from '../support/spawn.ts';

interface Opened {
  readonly sql: postgres.Sql;
  readonly close: () => Promise<void>;
}

const forms = [
  {
    name: 'Postgres',
    open: async (): Promise<Opened> => {
      const database = await createTestDatabase();
      return { sql: database.sql, close: () => database.drop() };
    },
  },
  {
    name: 'PGlite',
    open: async (): Promise<Opened> => {
      const dataDir = makeDataDir();
      const database = await openEmbedded({
        dataDir: dataDir.path,
        onFatal: (error) => {
          throw error;
        },
      });
      await migrate(database.sql);
      return { sql: database.sql, close: () => database.close().then(() => dataDir.remove()) };
    },
  },
];

/** Letters to Unicode that stand for nothing by themselves: a tatweel, fillers of Hangul, Arabic marks on a tatweel, a vertical tilde. */
const unsaid = /[\u0640\u115f\u1160\u2e2f\u3164\ufcf2-\ufcf4\ufe71\ufe77\ufe79\ufe7b\ufe7d\ufe7f\uffa0]/u;

/** A letter or digit. Presentation forms of a lone mark are a space and a mark to NFKC, which is no word. */
const isWritten = (c: string): boolean =>
  /^[\p{L}\p{N}]$/u.test(c) && !/\s/u.test(c.normalize('NFKC')) && !unsaid.test(c);

describe.each(forms)('in $name', ({ open }) => {
  let sql: postgres.Sql;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ sql, close } = await open());
  }, 120_000);
  afterAll(() => close());

  const finds = async (query: string, content: string, lang = 'simple'): Promise<boolean> => {
    const [row] = await sql<{ found: boolean }[]>`
      select numnode(wanted) > 0 and search_words(${lang}, ${content}) @@ wanted as found from search_parse(${lang}, ${query}, false)`;
    return row?.found === true;
  };

  it.each([
    ['final sigma', 'ΚΟΣΜΟΣ', ['ΚΟΣΜΟΣ', 'κοσμος', 'κοσμοσ', 'Κοσμος']],
    ['the dotted I of Turkish', 'İzmir İSTANBUL', ['İzmir', 'izmir', 'i̇zmir', 'istanbul', 'İstanbul']],
    ['ß', 'Große Straße STRASSE', ['große', 'GROSSE', 'straße', 'STRASSE', 'STRAẞE']],
    ['ligatures', 'eﬃcient ﬁnance', ['efficient', 'EFFICIENT', 'finance', 'eﬃcient']],
    ['full and half width', 'ＡＢＣ１２３ ｶﾞｷﾞ', ['abc123', 'ＡＢＣ１２３', 'ガギ', 'ｶﾞｷﾞ', 'ギ']],
    ['composed and decomposed letters', 'Zu\u0308rich caf\u00e9', ['zürich', 'ZÜRICH', 'cafe\u0301', 'zu\u0308rich']],
    [
      'characters that nobody sees',
      'soft\u00adhyphen zero\u200bwidth می\u200cخواهم',
      ['softhyphen', 'zerowidth', 'میخواهم', 'می\u200cخواهم'],
    ],
    ['optional marks', 'שָׁלוֹם مُحَمَّد', ['שלום', 'محمد', 'שָׁלוֹם', 'مُحَمَّد']],
    ['other case', 'ПРИВЕТ Ⴀႁ Ꭰ ԲԱՐԵՎ', ['привет', 'ПРИВЕТ', 'բարեվ', 'ԲԱՐԵՎ']],
    ['Indic scripts', 'नमस्ते दुनिया வணக்கம்', ['नमस्ते', 'दुनिया', 'வணக்கம்']],
    [
      'punctuation of all kinds',
      '„Hallo“ «monde» ¿qué? “yes”—no 、你好。',
      ['hallo', 'monde', 'qué', 'yes', 'no', '你好'],
    ],
    ['symbols', 'ok 👍🏽 → 5€', ['👍', '👍🏽', '→', '€']],
    ['letters and numbers that a locale may not know', 'x ⓫, ࡰ ፲ ௰', ['⓫', 'ࡰ', '፲', '௰']],
  ])('finds words with %s', async (_, content, queries) => {
    for (const query of queries) expect([query, await finds(query, content)]).toEqual([query, true]);
  });

  it.each([
    ['Chinese', '我家在上海东边', ['上海', '上', '边', '我家在上海东边', '海东'], ['东上', '上东', '北京', '海上']],
    ['Japanese', '東京タワーへ行きました', ['東京', 'タワー', '行き', 'した'], ['京都', 'ワタ']],
    ['Korean', '안녕하세요 서울에서', ['서울', '안녕', '하세요', '서'], ['부산', '녕안']],
    ['Thai', 'สวัสดีครับผมอยู่กรุงเทพ', ['กรุงเทพ', 'ครับ', 'ผม'], ['เชียงใหม่']],
    ['Lao', 'ສະບາຍດີທຸກຄົນ', ['ທຸກຄົນ', 'ສະບາຍດີ'], ['ຄົນທຸກ']],
    ['Khmer', 'សួស្តីពិភពលោក', ['ពិភពលោក', 'សួស្តី'], ['លោកពិភព']],
    ['Myanmar', 'မင်္ဂလာပါကမ္ဘာလောက', ['ကမ္ဘာလောက', 'မင်္ဂလာပါ'], ['လောကမင်္ဂလာ']],
    [
      'a mixture',
      'iPhone手机在上海 works',
      ['手机', 'iphone', 'iPhone手机', '上海 works', '"上海" iphone'],
      ['手上', 'android手机'],
    ],
  ])('finds a part of %s, which has no spaces', async (_, content, parts, others) => {
    for (const query of parts) expect([query, await finds(query, content)]).toEqual([query, true]);
    for (const query of others) expect([query, await finds(query, content)]).toEqual([query, false]);
    for (const lang of ['english', 'russian']) expect(await finds(parts[0] as string, content, lang)).toBe(true);
  });

  it.each([
    ['hello wor', `'hello' & 'wor':*`],
    ['wor', `'wor':*`],
    ['w', `'w'`],
    ['hello ', `'hello'`],
    ['"hello wor', `'hello' <-> 'wor'`],
    ['"hello" wor', `'hello' & 'wor':*`],
    ['hello -wor', `'hello' & !'wor'`],
    ['hello -"of wor"', `'hello' & !( 'of' <-> 'wor' )`],
    ['hello or wor', `'hello' | 'wor'`],
    ['a b OR c dd', `'a' & 'b' | 'c' & 'dd':*`],
    ['Well-Known', `'well' & 'known':*`],
    ['hello or', `'hello'`],
    ['or', `'or':*`],
    ['docs.node.js', `'docs' & 'node' & 'js':*`],
    [`it's`, `'it' & 's'`],
    ['日本語', `'日本' <-> '本語'`],
    ['日', `'日':*`],
    ['"see 日本語"', `'see' & '日本' <-> '本語'`],
    ['-日本 see', `!'日本' & 'see':*`],
    ['＂full　width＂', `'full' <-> 'width'`],
    ['- " -"', ''],
  ])('reads %j as %s', async (query, wanted) => {
    const [row] = await sql`select wanted::text from search_parse('simple', ${query}, false)`;
    expect(row).toEqual({ wanted });
  });

  it.each([
    ['上海 κοσμος', '我家在上海东边 ΚΟΣΜΟΣ', '我家在[上海]东边 [ΚΟΣΜΟΣ]'],
    ['izm', 'Selam İzmir!', 'Selam [İzmir]!'],
    ['ﬁnance', 'Finance <b>', '[Finance] <b>'],
    ['哈哈', '哈哈哈哈x', '[哈哈哈哈]x'],
    ['ガ', 'ｶﾞ', '[ｶﾞ]'],
    ['abc', 'ＡＢＣ，x', '[ＡＢＣ]，x'],
    ['👍', 'ok 👍🏽!', 'ok [👍]🏽!'],
    ['one -two', 'two one', 'two [one]'],
  ])('marks %j in %j', async (query, content, marked) => {
    const [row] = await sql`
      select search_marked('simple', ${content}, hits, runs, '[', ']') as marked from search_parse('simple', ${query}, false)`;
    expect(row).toEqual({ marked });
  });

  const search = async (query: string): Promise<CommandOutput<'search'>> => {
    const page = await createSearch(sql).page('ann', { query, limit: 50 });
    return JSON.parse(page) as CommandOutput<'search'>;
  };

  it('messages that were in the index before migration 0014 are found after they were indexed again', async () => {
    const { writer } = createWriter(sql);
    await makeRoom(sql, 'before', 'ann');
    await writer.send(send('before', 'ann', { text: '我家在上海东边' }));
    await writer.stop();
    await sql`insert into search_rooms values ('before', 1, 'simple')`;
    await sql`
      insert into message_search select 'before', 1, created_at, to_tsvector('simple', body ->> 'text') || array_to_tsvector(array[E'\x01rbefore', E'\x01uann'])
      from messages where room_id = 'before'`;
    // as the migration does
    await sql`update search_rooms set rev = 0`;
    await sql`select * from index_messages(array['before'], 'simple', 100)`;
    const { hits } = await search('上海');
    expect(hits.map(({ snippet }) => snippet)).toEqual([
      [
        { text: '我家在', hit: false },
        { text: '上海', hit: true },
        { text: '东边', hit: false },
      ],
    ]);
  });

  it('finds a word that is copied from any text, and marks it', { timeout: 120_000 }, async () => {
    // letters, marks and digits of the plane that has nearly all that is written; some with case, marks or forms of their own
    const letter = fc.oneof(
      fc
        .integer({ min: 0x21, max: 0xffff })
        .map((code) => String.fromCodePoint(code))
        .filter(isWritten),
      fc.constantFrom(...'ΣςσİıẞßﬃＡａǅЙйéÅÅ한국日本語กำ가각👍'.split(/(?:)/u)),
      fc
        .integer({ min: 0x10000, max: 0x1fbff })
        .map((code) => String.fromCodePoint(code))
        .filter(isWritten),
    );
    const marked = fc
      .tuple(letter, fc.constantFrom('', '', '', '\u0301', '\u0307', '\u0308', '\ufe0f', '\u200d'))
      .map((p) => p.join(''));
    const word = fc.array(marked, { minLength: 1, maxLength: 8 }).map((list) => list.join(''));
    const between = fc.constantFrom(' ', '\n', '\u3000', ', ', '. ', ' — ', '“', '»', '/', '\u00a0');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(word, between), { minLength: 1, maxLength: 6 }), async (parts) => {
        const content = parts.flat().join('');
        const words = parts.map(([one]) => one);
        const rows = await sql<{ query: string; found: boolean; marked: string }[]>`
          select q.query, numnode(p.wanted) > 0 and search_words('simple', ${content}) @@ p.wanted as found,
            search_marked('simple', ${content}, p.hits, p.runs, E'\x02', E'\x03') as marked
          from unnest(${words}::text[]) as q (query) cross join lateral search_parse('simple', q.query, false) as p`;
        for (const row of rows) {
          expect([row.query, row.found]).toEqual([row.query, true]);
          const found = pieces(row.marked);
          // what a compatible form stands for may be in two scripts; then it is found, and not always marked
          if (row.query === row.query.normalize('NFKC'))
            expect([row.query, found.some(({ hit }) => hit)]).toEqual([row.query, true]);
          expect(content).toContain(found.map((piece) => piece.text).join(''));
        }
      }),
      { numRuns: 400, seed: 20_261_130 },
    );
  });
});
