/** The relay of the outbox, while its queries fail. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pino } from 'pino';
import type { Fanout } from '../../src/fanout/fanout.ts';
import { Relay } from '../../src/recovery/relay.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { parseMetrics, total } from '../support/metrics.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it('counts each failed round, logs the first one alone, and continues', async () => {
  const { sql } = database;
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
  // a node with others relays each second; this test receives no events
  const fanout: Fanout = {
    others: { reachable: true, onChange: () => {} },
    listen: () => {},
    publish: () => {},
    occupied: () => Promise.resolve(),
    vacated: () => {},
    close: () => Promise.resolve(),
  };
  const clock = new ManualClock();
  const counted = async (series: string): Promise<number> => total(parseMetrics(await metrics.text()), series);
  await sql`alter table outbox rename to hidden`;
  const outbox = new Relay({ sql, fanout, metrics, log, clock });
  try {
    const failures = 'parley_fanout_repair_failures_total{what="outbox"}';
    await until('two rounds have failed', async () => {
      await clock.pass(1000);
      return (await counted(failures)) >= 2;
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('Could not relay the outbox; retrying.');
    await sql`insert into hidden (entries, created_at) values ('[]', now() - interval '1 minute')`;
    await sql`alter table hidden rename to outbox`;
    await until('what was left is relayed', async () => {
      await clock.pass(1000);
      return (await counted('parley_outbox_relayed_total')) === 1;
    });
    expect(lines).toHaveLength(1);
  } finally {
    await outbox.stop();
  }
});
