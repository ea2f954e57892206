import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { describeSchema } from '../support/schema.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** After a new migration: node_modules/.bin/vitest run --config test/vitest.config.ts test/messaging/schema -u */
it('all migrations together give the schema in test/schema.sql', async () => {
  await expect(await describeSchema(database.sql)).toMatchFileSnapshot('../schema.sql');
});
