/**
 * Every metric of Parley, with those of the cache in `cache-metrics.ts`, of REST and of uploads. Only this folder imports prom-client. Labels are
 * closed unions (commands, error codes, and `labels.ts`), never the id of a room or a user, so the number of series stays
 * bounded.
 */
import { CacheMetrics } from './cache-metrics.ts';
import type { Readings } from './group-metrics.ts';
import { HotCounter, HotHistogram } from './hot-metrics.ts';
import { InteropMetrics } from './interop-metrics.ts';
import { JobMetrics } from './job-metrics.ts';
import { LaneMetrics } from './lane-metrics.ts';
import { RestMetrics } from './rest-metrics.ts';
import { LedgerMetrics } from './ledger-metrics.ts';
import { PushMetrics } from './push-metrics.ts';
import { UploadMetrics } from './upload-metrics.ts';
import { WebhookMetrics } from './webhook-metrics.ts';
import { databaseHazards, type DatabaseHazard } from './labels.ts';
import { watchedGauge } from './watched-gauge.ts';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type * from './labels.ts';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly #registry = new Registry();

  readonly connections = this.#gauge('parley_connections', 'Connections that are open now');
  readonly opened = this.#counter('parley_connections_opened_total', 'Connections that were opened');
  readonly closed = this.#counter('parley_connections_closed_total', 'Connections that ended', ['reason']);
  readonly refused = this.#counter('parley_handshakes_refused_total', 'Handshakes that the server refused', ['reason']);
  /** Labels: command, outcome. */
  readonly commands = new HotCounter(
    'parley_commands_total',
    'Commands that were answered; the outcome is ok or an error code',
    this.#registry,
  );
  readonly rest = new RestMetrics(this.#registry, seconds);
  readonly jobs = new JobMetrics(this.#registry);
  readonly notifications = new LedgerMetrics(this.#registry);
  readonly lanes = new LaneMetrics(this.#registry);
  readonly uploads = new UploadMetrics(this.#registry);
  readonly webhooks = new WebhookMetrics(this.#registry, seconds);
  readonly push = new PushMetrics(this.#registry, seconds);
  /** Label: command. */
  readonly ackSeconds = new HotHistogram(
    'parley_ack_seconds',
    'Time from a command to its ack',
    seconds,
    this.#registry,
  );
  readonly batchSize = this.#histogram(
    'parley_writer_batch_messages',
    'Messages, or changes of messages, in one commit',
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000],
  );
  readonly commitSeconds = this.#histogram(
    'parley_writer_commit_seconds',
    'Time of one commit of messages or changes',
    seconds,
  );
  readonly writerRetries = this.#counter('parley_writer_retries_total', 'Commits that were retried', ['reason']);
  /** Label: event. */
  readonly fanoutEvents = new HotCounter('parley_fanout_events_total', 'Events passed to fan-out', this.#registry);
  readonly fanoutDeliveries = new HotCounter(
    'parley_fanout_deliveries_total',
    'Events written to connections',
    this.#registry,
  ).labels();
  readonly slowConsumers = this.#counter('parley_slow_consumers_total', 'Steps taken against slow connections', [
    'step',
  ]);
  /** Label: limit (connection, user or address). */
  readonly answersRefused = this.#counter(
    'parley_answers_refused_total',
    'Large answers refused because earlier answers are still unsent',
    ['limit'],
  );
  readonly membersCoalesced = this.#counter(
    'parley_member_events_coalesced_total',
    'Joins and leaves in quick succession of one user, for which the room received no event',
  );
  readonly signalsRefused = this.#counter('parley_signals_refused_total', 'Signals above the rate of their connection');
  readonly signalsDropped = this.#counter('parley_signals_dropped_total', 'Signals not written to slow connections');
  /** Label: limit. The counter is on the hot path of an overloaded node. */
  readonly overloaded = new HotCounter(
    'parley_overloaded_total',
    'Commands and handshakes refused because the node is overloaded',
    this.#registry,
  );
  /** Label: limit. A client above a limit decides how often this counts. */
  readonly userRefused = new HotCounter(
    'parley_user_refused_total',
    'Commands, signals and packets above a limit of their user, or of the address of a connection without a user',
    this.#registry,
  );
  /** Label: packet. A client decides how often this counts. */
  readonly unexpectedPackets = new HotCounter(
    'parley_stray_packets_total',
    'Unexpected packets of clients: acks that no event requested, and CONNECTs to unknown namespaces',
    this.#registry,
  );
  readonly publishFailures = this.#counter(
    'parley_fanout_publish_failures_total',
    'Batches of events that could not be published to other nodes',
    ['reason'],
  );
  readonly foreignMessages = this.#counter(
    'parley_fanout_foreign_messages_total',
    'Messages of Redis that could not be read and were dropped',
    ['reason'],
  );
  readonly repaired = this.#counter(
    'parley_fanout_repaired_total',
    'Missed events that were read from Postgres and delivered',
    ['reason'],
  );
  readonly repairSeconds = this.#histogram(
    'parley_fanout_repair_seconds',
    'Time from the commit of a missed event to its delivery',
    [...seconds, 30, 60, 300, 3600],
  );
  /** Labels: source (`tail`, a public name for the replay buffer, or `postgres`). */
  readonly syncedRooms = this.#counter(
    'parley_sync_rooms_total',
    'Rooms that clients synced, by the source of the messages',
    ['source'],
  );
  readonly replayReads = this.#counter(
    'parley_tail_reads_total',
    'Reads of Postgres that filled the replay buffer of a room',
  );
  readonly repairFailures = this.#counter(
    'parley_fanout_repair_failures_total',
    'Reads for the repair of missed events that failed; the node retries them',
    ['what'],
  );
  readonly heldDropped = this.#counter(
    'parley_fanout_held_dropped_total',
    'Held events dropped at a limit; the node reads persisted events from Postgres later',
  );
  readonly leaseLapses = this.#counter(
    'parley_membership_lease_lapses_total',
    'Times that this node could not confirm memberships for 3 s, and delivered nothing until it could',
  );
  readonly unconfirmedNodes = this.#counter(
    'parley_membership_unconfirmed_nodes_total',
    'Nodes that did not confirm a removal within 3 s and were treated as stopped',
  );
  readonly epochChanges = this.#counter(
    'parley_epoch_changes_total',
    'Times that this node detected an older state of the database, such as a restore',
  );
  /** Label: sign (storage, log or heads). */
  readonly epochsRenewed = this.#counter('parley_epochs_renewed_total', 'New epochs that this node began', ['sign']);
  readonly relayed = this.#counter(
    'parley_outbox_relayed_total',
    'Outbox rows that this node published for another process',
  );
  readonly internalErrors = this.#counter('parley_internal_errors_total', 'Errors caused by faults of Parley', [
    'where',
  ]);
  readonly presenceChanges = this.#counter(
    'parley_presence_changes_total',
    'Changes of presence that concern watchers on this node',
    ['to'],
  );
  readonly presenceEvents = this.#counter('parley_presence_events_total', 'Presence events written to connections');
  readonly watchesEnded = this.#counter(
    'parley_presence_watches_ended_total',
    'Watches that ended because watcher and user share no room any more',
  );
  readonly revocations = this.#counter(
    'parley_revoked_connections_total',
    'Connections closed because their token was revoked',
    ['reason'],
  );
  readonly ratesAlone = this.#counter(
    'parley_rates_alone_total',
    'Rates that this node counted alone because Redis was unavailable',
  );
  readonly redisRefusals = this.#counter(
    'parley_redis_refusals_total',
    'Commands that Redis refused because of its state: a replica, loading, full, or a wrong password',
    ['problem'],
  );
  readonly ratesForgotten = this.#counter(
    'parley_rates_forgotten_total',
    'Users whose rates were dropped from a full table',
  );
  readonly interop = new InteropMetrics(this.#registry);
  readonly searchIndexed = this.#counter('parley_search_indexed_total', 'Messages added to the search index');
  readonly searchFailures = this.#counter(
    'parley_search_failures_total',
    'Steps of the search index that failed; the node retries them',
  );
  readonly searchTimeouts = this.#counter(
    'parley_search_timeouts_total',
    'Searches that Postgres ended at their time limit',
  );
  /** Labels: place (answers, presence, reads, search or sessions), limit (user, queue or time). */
  readonly turnsRefused = this.#counter(
    'parley_turns_refused_total',
    'Reads, searches and lookups of users that were refused because no place was free',
    ['place', 'limit'],
  );
  readonly retentionRooms = this.#counter(
    'parley_retention_purges_total',
    'Times that expired messages of one room were deleted',
  );
  readonly retentionMessages = this.#counter('parley_retention_messages_total', 'Expired messages that were deleted');
  readonly retentionFailures = this.#counter(
    'parley_retention_failures_total',
    'Rounds of retention that failed; the next round retries',
  );
  readonly purgedRooms = this.#counter('parley_room_purges_total', 'Deleted rooms whose data is fully removed');
  readonly purgedMessages = this.#counter(
    'parley_room_purge_messages_total',
    'Messages of deleted rooms that were removed',
  );
  readonly purgeFailures = this.#counter(
    'parley_room_purge_failures_total',
    'Rounds of the removal of deleted rooms that failed; the node retries them',
  );
  readonly marksDropped = this.#counter(
    'parley_marks_dropped_total',
    'Read and delivered marks dropped at a limit; the client sends them again with the next message',
  );
  readonly databaseUnsafe = this.#counter(
    'parley_database_open_transactions_total',
    'Pooled connections to Postgres that were closed because they were inside a transaction',
  );
  readonly cache = new CacheMetrics(this.#registry);
  readonly apiKeysAccepted = new HotCounter(
    'parley_api_keys_accepted_total',
    'Requests whose API key was accepted',
    this.#registry,
  ).labels();
  /** Label: reason. A caller decides how often this counts. */
  readonly apiKeysRefused = new HotCounter(
    'parley_api_keys_refused_total',
    'Requests whose API key was refused',
    this.#registry,
  );
  readonly apiKeyLimitReached = this.#counter(
    'parley_api_key_limit_reached_total',
    'API keys that were not created because there are as many as PARLEY_MAX_API_KEYS',
  );
  readonly guests = this.#counter('parley_guests_total', 'Requests for guest tokens', ['outcome']);

  constructor() {
    // process, heap, GC and event-loop delay, by prom-client's own names
    collectDefaultMetrics({ register: this.#registry });
  }

  /** `/metrics` reads the depth of the writer's queue; nothing counts on the hot path. */
  watchWriter(waiting: () => number): void {
    this.#watch('parley_writer_queue', 'Messages and changes that wait for their commit', waiting);
  }

  watchSearch(rooms: () => number): void {
    this.#watch('parley_search_rooms_waiting', 'Rooms with messages that are not in the search index yet', rooms);
  }

  watchDatabase(read: {
    up: () => boolean;
    pool: () => { used: number; idle: number; waiting: number };
    hazard: (name: DatabaseHazard) => boolean;
    clockOffsetMs: () => number;
  }): void {
    this.#watch('parley_database_up', '1 while Postgres answers and takes writes', () => (read.up() ? 1 : 0));
    this.#watch('parley_database_connections_used', 'Connections to Postgres that are in use', () => read.pool().used);
    this.#watch('parley_database_connections_idle', 'Connections to Postgres that are idle', () => read.pool().idle);
    this.#watch(
      'parley_database_statements_waiting',
      'Statements that wait for a connection to Postgres',
      () => read.pool().waiting,
    );
    this.#watch(
      'parley_database_clock_offset_seconds',
      'Seconds by which the clock of Postgres is ahead of the clock of this node',
      () => read.clockOffsetMs() / 1000,
    );
    const unsafe = new Gauge({
      name: 'parley_database_unsafe',
      help: '1 for each setting of Postgres that can lose acknowledged messages or prevents writes',
      labelNames: ['setting'],
      aggregator: 'max',
      registers: [this.#registry],
      collect() {
        for (const setting of databaseHazards) unsafe.set({ setting }, read.hazard(setting) ? 1 : 0);
      },
    });
  }

  /** @param read whether each use of Redis is available now, by link; and whether Redis may evict keys. */
  watchRedis(read: { states: () => Readonly<Record<string, boolean>>; evicts: () => boolean }): void {
    new Gauge({
      name: 'parley_redis_up',
      help: '1 while Redis is available: for events of other nodes (events), for presence and rates (keys), for backend services (door)',
      labelNames: ['link'],
      // of several workers: the worst
      aggregator: 'min',
      registers: [this.#registry],
      collect() {
        for (const [link, up] of Object.entries(read.states())) this.set({ link }, up ? 1 : 0);
      },
    });
    new Gauge({
      name: 'parley_redis_evicts',
      help: '1 if Redis may evict keys, because its maxmemory-policy is not noeviction',
      aggregator: 'max',
      registers: [this.#registry],
      collect() {
        this.set(read.evicts() ? 1 : 0);
      },
    });
  }

  watchRepair(read: { fills: () => number; held: () => number }): void {
    this.#watch('parley_fanout_fills', 'Rooms whose missing events are read now, or wait for their turn', read.fills);
    this.#watch('parley_fanout_held_events', 'Events held until the events before them arrive', read.held);
  }

  watchUnsent(bytes: () => number): void {
    this.#watch('parley_unsent_bytes', 'Bytes that are not sent yet because clients read slowly', bytes);
  }

  watchReplay(read: { rooms: () => number; bytes: () => number }): void {
    this.#watch('parley_tail_rooms', 'Rooms in the replay buffer', read.rooms);
    this.#watch('parley_tail_bytes', 'Approximate size of the replay buffer', read.bytes);
  }

  watchPresence(read: { users: () => number; watched: () => number }): void {
    this.#watch('parley_users', 'Users with connections to this node', read.users);
    this.#watch('parley_presence_watched', 'Watched users, summed over all watching connections', read.watched);
  }

  /** 1: the node accepts all work. The label names the limit that is exceeded. */
  watchOverload(read: () => { share: number; reason: string | undefined }): void {
    new Gauge({
      name: 'parley_admitted_share',
      help: 'Share of the work that the node accepts; below 1 while a limit is exceeded',
      labelNames: ['limit'],
      // of several workers: the worst
      aggregator: 'min',
      registers: [this.#registry],
      collect() {
        const { share, reason } = read();
        this.reset();
        this.set({ limit: share < 1 ? (reason ?? 'none') : 'none' }, share);
      },
    });
  }

  /** The text of `/metrics`, in the Prometheus exposition format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The same for the parent process, which adds up the metrics of its workers. */
  readings(): Promise<Readings> {
    return this.#registry.getMetricsAsJSON();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #watch(name: string, help: string, read: () => number): void {
    watchedGauge(this.#registry, name, help, read);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.#registry] });
  }

  #histogram<L extends string>(name: string, help: string, buckets: number[], labelNames: L[] = []): Histogram<L> {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.#registry] });
  }
}
