import type postgres from 'postgres';
import { until } from './until.ts';

/** Waits until each stored message has been fanned out and has its notifications: no server reads messages by itself then. */
export async function untilOutboxEmpty(sql: postgres.ISql, limitMs?: number): Promise<void> {
  await until('the outbox is empty', async () => (await sql`select from outbox`).length === 0, limitMs);
}
