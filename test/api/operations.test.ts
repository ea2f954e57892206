import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Health, NotReady } from '../../src/telemetry/health.ts';
import { total } from '../support/metrics.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

let server: TestServer;
let client: StockClient;

beforeAll(async () => {
  server = await startServer();
  client = await connectStock(server.url, await tokenOf('ann'));
  await client.ok('room:create', { kind: 'channel', name: 'Room', id: 'room' });
  await client.ok('message:send', text('room', 'x'));
});
afterAll(async () => {
  client.close();
  await server.stop();
});

describe('/health and /ready', () => {
  it('report the version, the node and the checks', async () => {
    const health = await fetch(`${server.url}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toEqual({
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as unknown,
      node: (await client.event('ready')).node,
    });
    const ready = await fetch(`${server.url}/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({
      ready: true,
      checks: { database: { ok: true }, migrations: { ok: true } },
    });
  });

  it('are not ready while a migration is missing', async () => {
    const { sql } = server.database;
    const [row] = await sql<{ number: number; name: string; checksum: string }[]>`
      delete from schema_migrations where number = (select max(number) from schema_migrations) returning number, name, checksum`;
    // the answer is kept for a second
    await expect.poll(async () => (await fetch(`${server.url}/ready`)).status, { timeout: 5000 }).toBe(503);
    const ready = await fetch(`${server.url}/ready`);
    expect(await ready.json()).toMatchObject({
      ready: false,
      checks: { migrations: { ok: false, reason: `pending: ${row?.name}` } },
    });
    await sql`insert into schema_migrations ${sql(row ?? {}, 'number' as never, 'name' as never, 'checksum' as never)}`;
    await expect.poll(async () => (await fetch(`${server.url}/ready`)).status, { timeout: 5000 }).toBe(200);
  });

  it('answer HEAD without a body and refuse other methods', async () => {
    for (const path of ['/health', '/ready', '/metrics']) {
      const head = await fetch(`${server.url}${path}`, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
      const post = await fetch(`${server.url}${path}`, { method: 'POST', body: 'x' });
      expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });
});

describe('health checks', () => {
  it('that fail or take too long are reasons not to be ready, and so is stopping', async () => {
    const health = new Health();
    health.add({ name: 'good', run: () => Promise.resolve() });
    expect(await health.report()).toMatchObject({ ready: true, checks: { good: { ok: true } } });
    health.add({ name: 'bad', run: () => Promise.reject(new NotReady('broken')) });
    health.add({ name: 'slow', run: () => new Promise(() => {}) });
    expect(await health.report(20)).toMatchObject({
      ready: false,
      checks: {
        good: { ok: true },
        bad: { ok: false, reason: 'broken' },
        slow: { ok: false, reason: 'no answer in 20 ms' },
      },
    });
    const stopping = new Health();
    stopping.stop();
    expect(await stopping.report()).toMatchObject({ ready: false, checks: { running: { reason: 'stopping' } } });
  });
});

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);

describe('/metrics', () => {
  it('has every documented metric', async () => {
    const response = await fetch(`${server.url}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const exposed = await response.text();
    const types = new Map([...exposed.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => [name, type]));
    expect([...types].filter(([name]) => name.startsWith('parley_')).toSorted(byName)).toEqual([
      ['parley_ack_seconds', 'histogram'],
      ['parley_admitted_share', 'gauge'],
      ['parley_answers_refused_total', 'counter'],
      ['parley_api_key_limit_reached_total', 'counter'],
      ['parley_api_keys_accepted_total', 'counter'],
      ['parley_api_keys_refused_total', 'counter'],
      ['parley_cache_bytes', 'gauge'],
      ['parley_cache_drains_total', 'counter'],
      ['parley_cache_entries', 'gauge'],
      ['parley_cache_errors_total', 'counter'],
      ['parley_cache_evicted_total', 'counter'],
      ['parley_cache_fenced_total', 'counter'],
      ['parley_cache_invalidations_total', 'counter'],
      ['parley_cache_loads', 'gauge'],
      ['parley_cache_loads_waiting', 'gauge'],
      ['parley_cache_reads_total', 'counter'],
      ['parley_cache_warm_failures_total', 'counter'],
      ['parley_commands_total', 'counter'],
      ['parley_connections', 'gauge'],
      ['parley_connections_closed_total', 'counter'],
      ['parley_connections_opened_total', 'counter'],
      ['parley_database_clock_offset_seconds', 'gauge'],
      ['parley_database_connections_idle', 'gauge'],
      ['parley_database_connections_used', 'gauge'],
      ['parley_database_open_transactions_total', 'counter'],
      ['parley_database_statements_waiting', 'gauge'],
      ['parley_database_unsafe', 'gauge'],
      ['parley_database_up', 'gauge'],
      ['parley_door_messages_total', 'counter'],
      ['parley_door_refused_total', 'counter'],
      ['parley_door_unsent_total', 'counter'],
      ['parley_epoch_changes_total', 'counter'],
      ['parley_epochs_renewed_total', 'counter'],
      ['parley_fanout_deliveries_total', 'counter'],
      ['parley_fanout_events_total', 'counter'],
      ['parley_fanout_fills', 'gauge'],
      ['parley_fanout_foreign_messages_total', 'counter'],
      ['parley_fanout_held_dropped_total', 'counter'],
      ['parley_fanout_held_events', 'gauge'],
      ['parley_fanout_publish_failures_total', 'counter'],
      ['parley_fanout_repair_failures_total', 'counter'],
      ['parley_fanout_repair_seconds', 'histogram'],
      ['parley_fanout_repaired_total', 'counter'],
      ['parley_file_reads_total', 'counter'],
      ['parley_guests_total', 'counter'],
      ['parley_handshakes_refused_total', 'counter'],
      ['parley_http_addresses_blocked_total', 'counter'],
      ['parley_http_idempotent_requests_total', 'counter'],
      ['parley_http_request_seconds', 'histogram'],
      ['parley_http_requests_refused_total', 'counter'],
      ['parley_http_requests_total', 'counter'],
      ['parley_internal_errors_total', 'counter'],
      ['parley_job_seconds', 'histogram'],
      ['parley_jobs_refused_total', 'counter'],
      ['parley_jobs_running', 'gauge'],
      ['parley_jobs_total', 'counter'],
      ['parley_lane_added_total', 'counter'],
      ['parley_lane_depth', 'gauge'],
      ['parley_lane_jobs_total', 'counter'],
      ['parley_lane_oldest_seconds', 'gauge'],
      ['parley_lane_stalled_total', 'counter'],
      ['parley_lane_wait_seconds', 'histogram'],
      ['parley_marks_dropped_total', 'counter'],
      ['parley_member_events_coalesced_total', 'counter'],
      ['parley_membership_lease_lapses_total', 'counter'],
      ['parley_membership_unconfirmed_nodes_total', 'counter'],
      ['parley_notifications_expand_seconds', 'histogram'],
      ['parley_notifications_failures_total', 'counter'],
      ['parley_notifications_total', 'counter'],
      ['parley_outbox_relayed_total', 'counter'],
      ['parley_overloaded_total', 'counter'],
      ['parley_presence_changes_total', 'counter'],
      ['parley_presence_events_total', 'counter'],
      ['parley_presence_watched', 'gauge'],
      ['parley_presence_watches_ended_total', 'counter'],
      ['parley_push_attempt_seconds', 'histogram'],
      ['parley_push_attempts_total', 'counter'],
      ['parley_push_dead_total', 'counter'],
      ['parley_push_devices_kept_total', 'counter'],
      ['parley_push_devices_removed_total', 'counter'],
      ['parley_rates_alone_total', 'counter'],
      ['parley_rates_forgotten_total', 'counter'],
      ['parley_redis_refusals_total', 'counter'],
      ['parley_retention_failures_total', 'counter'],
      ['parley_retention_messages_total', 'counter'],
      ['parley_retention_purges_total', 'counter'],
      ['parley_revoked_connections_total', 'counter'],
      ['parley_room_purge_failures_total', 'counter'],
      ['parley_room_purge_messages_total', 'counter'],
      ['parley_room_purges_total', 'counter'],
      ['parley_search_failures_total', 'counter'],
      ['parley_search_indexed_total', 'counter'],
      ['parley_search_rooms_waiting', 'gauge'],
      ['parley_search_timeouts_total', 'counter'],
      ['parley_signals_dropped_total', 'counter'],
      ['parley_signals_refused_total', 'counter'],
      ['parley_slow_consumers_total', 'counter'],
      ['parley_stray_packets_total', 'counter'],
      ['parley_streams', 'gauge'],
      ['parley_streams_behind_total', 'counter'],
      ['parley_streams_ended_total', 'counter'],
      ['parley_streams_opened_total', 'counter'],
      ['parley_streams_refused_total', 'counter'],
      ['parley_sync_rooms_total', 'counter'],
      ['parley_tail_bytes', 'gauge'],
      ['parley_tail_reads_total', 'counter'],
      ['parley_tail_rooms', 'gauge'],
      ['parley_turns_refused_total', 'counter'],
      ['parley_unsent_bytes', 'gauge'],
      ['parley_upload_bytes_total', 'counter'],
      ['parley_uploads_begun_total', 'counter'],
      ['parley_uploads_completed_total', 'counter'],
      ['parley_uploads_refused_total', 'counter'],
      ['parley_uploads_removed_total', 'counter'],
      ['parley_user_refused_total', 'counter'],
      ['parley_users', 'gauge'],
      ['parley_webhook_attempt_seconds', 'histogram'],
      ['parley_webhook_attempts_total', 'counter'],
      ['parley_webhook_dead_total', 'counter'],
      ['parley_webhook_put_back_total', 'counter'],
      ['parley_webhooks_disabled_total', 'counter'],
      ['parley_writer_batch_messages', 'histogram'],
      ['parley_writer_commit_seconds', 'histogram'],
      ['parley_writer_queue', 'gauge'],
      ['parley_writer_retries_total', 'counter'],
    ]);
    for (const name of [
      'nodejs_eventloop_lag_seconds',
      'nodejs_heap_size_used_bytes',
      'nodejs_gc_duration_seconds',
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
    ]) {
      expect(types.has(name), name).toBe(true);
    }
  });

  it('counts commands by name and outcome, and never by room or user', async () => {
    await client.error('history', { room: 'nowhere' });
    await client.error('no:such:command');
    const metrics = await server.metrics();
    expect(metrics.get('parley_connections')).toBe(1);
    expect(metrics.get('parley_commands_total{command="message:send",outcome="ok"}')).toBe(1);
    expect(metrics.get('parley_commands_total{command="history",outcome="not_found"}')).toBe(1);
    expect(metrics.get('parley_commands_total{command="unknown",outcome="unknown_command"}')).toBe(1);
    expect(metrics.get('parley_commands_total{command="connect",outcome="ok"}')).toBe(1);
    expect(metrics.get('parley_writer_queue')).toBe(0);
    expect([...metrics.keys()].filter((series) => /nowhere|no:such|ann"/.test(series))).toEqual([]);
  });
});

describe('an exception in a command', () => {
  it('is answered with internal and counted, and the connection and the others live on', async () => {
    const { sql } = server.database;
    await sql`alter function mark_read rename to mark_read_away`;
    const before = total(await server.metrics(), 'parley_internal_errors_total');
    expect(await client.error('read', { room: 'room', seq: 1 })).toEqual({
      code: 'internal',
      message: 'The server failed to handle the request; the failure is in its log.',
      retryable: true,
    });
    const after = await server.metrics();
    expect(total(after, 'parley_internal_errors_total')).toBe(before + 1);
    expect(after.get('parley_internal_errors_total{where="command"}')).toBe(1);
    await sql`alter function mark_read_away rename to mark_read`;
    expect(await client.ok('read', { room: 'room', seq: 1 })).toEqual({ seq: 1 });
  });

  it('in the writer fails its sends alone', async () => {
    const { sql } = server.database;
    await sql`alter function append_messages rename to append_messages_away`;
    expect(await client.error('message:send', text('room', 'y'))).toMatchObject({ code: 'internal' });
    await sql`alter function append_messages_away rename to append_messages`;
    expect(await client.ok('message:send', text('room', 'y'))).toMatchObject({ seq: 2 });
  });
});

describe('other addresses', () => {
  it('are not found, in JSON', async () => {
    const nothing = await fetch(`${server.url}/api/v1/nothing`);
    expect(nothing.headers.get('content-type')).toBe('application/problem+json');
    expect(await nothing.json()).toMatchObject({ status: 404, code: 'not_found', retryable: false });
    for (const path of ['/nothing', '/../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/.env']) {
      const response = await fetch(`${server.url}${path}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'not_found', retryable: false } });
    }
  });
});
