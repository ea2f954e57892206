import { afterAll } from 'vitest';
import { laneContract } from '../../contract/lanes.contract.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const databases: TestDatabase[] = [];
afterAll(async () => {
  for (const database of databases) await database.drop();
});

laneContract('Postgres', async () => {
  const database = await createTestDatabase();
  databases.push(database);
  return { databaseUrl: database.url, prefix: '' };
});
