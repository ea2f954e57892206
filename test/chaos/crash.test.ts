import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { crash } from './crash.ts';

const plan = { kills: 3, senders: 8, rooms: 4, window: 30, acks: 400 };

describe('a server that is killed three times while eight senders send', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  it('has every acknowledged message exactly once and no gap, on Postgres', async () => {
    const report = await crash({ ...plan, database: database.url });
    expect(report.reconnects).toBeGreaterThan(0);
    expect(Object.values(report.rooms).reduce((sum, n) => sum + n)).toBe(report.sent);
  }, 120_000);

  it('has every acknowledged message exactly once and no gap, on the embedded database', async () => {
    const report = await crash({ ...plan, database: 'embedded' });
    expect(report.reconnects).toBeGreaterThan(0);
    expect(Object.values(report.rooms).reduce((sum, n) => sum + n)).toBe(report.sent);
  }, 120_000);
});
