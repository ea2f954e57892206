/** migrations/functions has the one current body of each SQL function; docs/database.md says how to change one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSchema } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { listFunctions, type SqlFunction } from '../support/sql-functions.ts';

/** The number with which function files came. Earlier numbered files made the functions themselves. */
const first = 31;
const { migrations, functions: files } = readSchema();
const statement = /((?:^--.*\n)*)^create or replace function (\w+)\([\s\S]*?\nas \$\$[\s\S]*?\$\$;$/gm;

let database: TestDatabase;
let functions: SqlFunction[];
beforeAll(async () => {
  database = await createTestDatabase();
  functions = await listFunctions(database.sql);
});
afterAll(() => database.drop());

const namesOf = (some: readonly SqlFunction[]): string[] => [...new Set(some.map(({ name }) => name))].toSorted();

describe('the function files', () => {
  it('are those of all functions but the ones that an index, a trigger or a constraint uses', () => {
    expect(files.map(({ name }) => name)).toEqual(namesOf(functions.filter(({ anchored }) => !anchored)));
    expect(namesOf(functions.filter(({ anchored }) => anchored))).toEqual([
      'find_thread',
      'note_membership',
      'number_membership',
      'room_words',
      'search_between',
      'search_fold',
      'search_keys',
      'search_plain',
      'search_runs',
      'search_unspaced',
      'search_vector',
    ]);
  });

  it.each(files.map(({ name, text }) => [name, text]))('have the statements of the database: %s', (name, text) => {
    const inFile = [...text.matchAll(statement)].map(([all, comment = '']) => all.slice(comment.length));
    expect(inFile).toEqual(functions.filter((one) => one.name === name).map((one) => one.statement));
  });

  it.each(files.map(({ name, text }) => [name, text]))('have a contract and nothing else: %s', (name, text) => {
    const found = [...text.matchAll(statement)];
    expect(text.replaceAll(statement, '').trim()).toBe('');
    expect(found.map(([, , made]) => made)).toEqual(found.map(() => name));
    for (const [at, [, comment = '']] of found.entries()) {
      expect(comment.length).toBeGreaterThan(40);
      if (at > 0) expect(comment).toMatch(/^-- For nodes of an earlier release\n/);
    }
  });

  it('are the only ones that make their functions since they came', () => {
    for (const { number, name, text } of migrations) {
      if (number < first) continue;
      const made = [...text.matchAll(/\bcreate\s+(?:or\s+replace\s+)?function\s+(\w+)/gi)].map(([, one = '']) => one);
      expect(
        files.map((file) => file.name).filter((one) => made.includes(one)),
        name,
      ).toEqual([]);
    }
  });
});
