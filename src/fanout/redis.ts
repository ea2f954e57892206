/**
 * The form for many nodes, over Redis Pub/Sub. The room events of one `publish` take one PUBLISH, on the channel of their
 * partition. Envelopes to users take another channel, to which every node subscribes.
 *
 * States: *unreachable* until Redis is up and has confirmed all subscriptions; then *reachable*, until the link to Redis is
 * down. Messages that come while unreachable are dropped: Redis confirms the subscriptions one by one, and anti-entropy
 * must begin before the first envelope. A publish while Redis is down is only counted: the other nodes read stored events
 * from Postgres.
 */
import { randomBytes } from 'node:crypto';
import { inTime } from '../jobs/within.ts';
import type { RedisLink } from '../storage/redis.ts';
import { debugLog } from '../telemetry/debug-log.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { decodeEnvelopes, encodeEnvelopes, nodeIdBytes, originOf, senderOf } from './envelope-codec.ts';
import type { Envelope, Fanout, Others, Observer, Receiver } from './fanout.ts';
import { partOf } from './partition.ts';

export interface RedisFanoutOptions {
  readonly link: RedisLink;
  /** Begins every channel. */
  readonly prefix: string;
  /** Channels that the rooms are spread over; the same on all nodes. */
  readonly partitions: number;
  /** The present ids. Every message carries both. */
  readonly installation: { readonly id: string; readonly epoch: string };
  /** A node of the same installation has another epoch: one of the two nodes lags. */
  readonly otherEpoch: () => void;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Bytes on their way to Redis, past which messages are dropped. */
  readonly maxUnansweredBytes?: number;
}

interface Partition {
  readonly channel: string;
  /** Rooms of the partition that have connections here. */
  rooms: number;
  /** The subscription that Redis has not answered yet. Resolves to whether Redis confirmed it. */
  subscribing: Promise<boolean> | undefined;
}

/** Room events and other envelopes have separate channels, so they never share a message. */
type Lane = 'room' | 'user';

const refused =
  'Redis refused a subscription. This node polls Postgres for events of other nodes until Redis confirms it.';
const logEveryMs = 10_000;
/** How long a closing node waits for Redis to take its last events. */
const farewellMs = 500;

export class RedisFanout implements Fanout {
  readonly others: Others;
  readonly #options: RedisFanoutOptions;
  #receive: Receiver = () => {};
  readonly #observers: Observer[] = [];
  /** The id of this process, not the configured name: two nodes with the same name must receive each other's events. */
  readonly #node = randomBytes(nodeIdBytes);
  readonly #partitions: readonly Partition[];
  readonly #userChannel: string;
  readonly #ownChannels: ReadonlySet<string>;
  readonly #maxUnanswered: number;
  readonly #listeners: ((reachable: boolean) => void)[] = [];
  readonly #endings: (() => void)[] = [];
  #origin: { readonly epoch: string; readonly bytes: Buffer } | undefined = undefined;
  #foreignLogged = false;
  #unanswered = 0;
  #lastPublish: Promise<void> = Promise.resolve();
  #reachable = false;
  readonly #debug: Log | undefined;
  #closed = false;
  #loggedAt = -Infinity;

  constructor(options: RedisFanoutOptions) {
    const { link, prefix, partitions } = options;
    this.#options = options;
    this.#debug = debugLog(options.log);
    this.#maxUnanswered = options.maxUnansweredBytes ?? 16 * 1024 * 1024;
    this.#userChannel = `${prefix}user`;
    this.#partitions = Array.from({ length: partitions }, (_, i) => ({
      channel: `${prefix}room:${i}`,
      // a single partition is always needed
      rooms: partitions === 1 ? 1 : 0,
      subscribing: undefined,
    }));
    this.#ownChannels = new Set([this.#userChannel, ...this.#partitions.map(({ channel }) => channel)]);
    const reachable = (): boolean => this.#reachable;
    this.others = {
      get reachable() {
        return reachable();
      },
      onChange: (listener) => void this.#listeners.push(listener),
    };
    const onMessage = (channel: Buffer, message: Buffer): void => this.#message(channel, message);
    link.subscriber.on('messageBuffer', onMessage);
    this.#endings.push(
      () => link.subscriber.off('messageBuffer', onMessage),
      link.onChange((up) => (up ? void this.#subscribeAll() : this.#setReachable(false))),
    );
  }

  /** Resolves when events of other nodes arrive, or cannot for now. */
  async open(): Promise<void> {
    if (this.#options.link.up) await this.#subscribeAll();
  }

  listen(receiver: Receiver): void {
    this.#receive = receiver;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  publish(envelopes: readonly Envelope[]): void {
    if (this.#closed || envelopes.length === 0) return;
    this.#receive(envelopes);
    try {
      for (const { channel, part } of this.#split(envelopes)) {
        for (const message of encodeEnvelopes(this.#originNow(), part)) this.#send(channel, message);
      }
    } catch (error) {
      this.#failed('encoding', error);
    }
    for (const observer of this.#observers) observer.published(envelopes);
  }

  async occupied(room: string): Promise<void> {
    const partition = this.#partitionOf(room);
    if (this.#partitions.length > 1 && partition.rooms++ === 0 && this.#options.link.up && !this.#closed) {
      void this.#subscribe(partition);
    }
    await partition.subscribing;
  }

  /** Redis runs the commands of one connection in order, so a room may become occupied again meanwhile. */
  vacated(room: string): void {
    const partition = this.#partitionOf(room);
    if (this.#partitions.length === 1 || --partition.rooms > 0) return;
    this.#options.link.subscriber.unsubscribe(partition.channel).catch(() => {
      // Redis is down: the next round of subscriptions leaves the channel out
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#setReachable(false);
    for (const end of this.#endings.splice(0)) end();
    this.#options.link.subscriber.unsubscribe(...this.#ownChannels).catch(() => {
      // Redis is down, and the subscriptions ended with it
    });
    // a publish that the network lost is never answered
    await inTime(farewellMs, this.#lastPublish);
  }

  #partitionOf(room: string): Partition {
    return this.#partitions[partOf(room, this.#partitions.length)] as Partition;
  }

  /** Runs of envelopes for rooms or for users, in order; a run of rooms by partition. */
  *#split(envelopes: readonly Envelope[]): Generator<{ channel: string; part: readonly Envelope[] }> {
    for (let from = 0, to = 0; from < envelopes.length; from = to) {
      const lane = laneOf(envelopes[from] as Envelope);
      while (to < envelopes.length && laneOf(envelopes[to] as Envelope) === lane) to++;
      const run = from === 0 && to === envelopes.length ? envelopes : envelopes.slice(from, to);
      if (lane === 'user') yield { channel: this.#userChannel, part: run };
      else yield* this.#byPartition(run);
    }
  }

  *#byPartition(run: readonly Envelope[]): Generator<{ channel: string; part: readonly Envelope[] }> {
    const [only] = this.#partitions;
    if (only !== undefined && this.#partitions.length === 1) {
      yield { channel: only.channel, part: run };
      return;
    }
    const parts = new Map<Partition, Envelope[]>();
    for (const envelope of run) {
      if (envelope.to !== 'room') continue;
      const partition = this.#partitionOf(envelope.room);
      const part = parts.get(partition);
      if (part === undefined) parts.set(partition, [envelope]);
      else part.push(envelope);
    }
    for (const [{ channel }, part] of parts) yield { channel, part };
  }

  #send(channel: string, message: Buffer): void {
    const { link } = this.#options;
    if (!link.up) return this.#failed('away', undefined, channel);
    // a slow Redis that still answers would otherwise collect messages here without a limit
    if (this.#unanswered + message.length > this.#maxUnanswered) return this.#failed('full', undefined, channel);
    this.#unanswered += message.length;
    this.#lastPublish = link.commands.publish(channel, message).then(
      () => void (this.#unanswered -= message.length),
      (error: unknown) => {
        this.#unanswered -= message.length;
        this.#failed('away', error, channel);
      },
    );
  }

  #failed(reason: 'away' | 'full' | 'encoding', error: unknown, channel?: string): void {
    this.#options.metrics.publishFailures.inc({ reason });
    this.#debug?.debug(
      { channel, reason },
      'Dropped a message to other nodes: they read its stored events from Postgres.',
    );
    // the link logs the loss of Redis
    if (reason !== 'away')
      this.#warn('Could not publish events to other nodes; they read the stored events from Postgres.', {
        reason,
        err: error,
      });
  }

  #message(channel: Buffer, message: Buffer): void {
    if (!this.#reachable || !this.#ownChannels.has(channel.toString())) return;
    const sender = senderOf(message, this.#originNow());
    if (sender === 'self') return;
    if (sender === 'foreign') return this.#foreign();
    let envelopes = decodeEnvelopes(message);
    if (typeof envelopes === 'string') {
      this.#options.metrics.foreignMessages.inc({ reason: envelopes });
      this.#warn('Dropped a message from Redis that this version cannot read; stored events are read from Postgres.', {
        reason: envelopes,
      });
      return;
    }
    if (sender === 'epoch') {
      this.#options.metrics.foreignMessages.inc({ reason: 'epoch' });
      this.#options.otherEpoch();
      this.#debug?.debug(
        { channel: channel.toString(), events: envelopes.length, reason: 'epoch' },
        'Dropped the revs of a message: its node has another epoch.',
      );
      envelopes = envelopes.flatMap(withoutRevs);
    }
    try {
      this.#receive(envelopes);
    } catch (error) {
      this.#options.metrics.internalErrors.inc({ where: 'fanout' });
      this.#options.log.error(
        { err: error },
        'Could not process a message of another node; its stored events are read from Postgres.',
      );
    }
  }

  #originNow(): Buffer {
    const { id, epoch } = this.#options.installation;
    if (this.#origin?.epoch !== epoch) this.#origin = { epoch, bytes: originOf(this.#node, id, epoch) };
    return this.#origin.bytes;
  }

  /** Another installation uses this Redis with the same prefix. Logged once, because each of its messages comes here. */
  #foreign(): void {
    this.#options.metrics.foreignMessages.inc({ reason: 'installation' });
    if (this.#foreignLogged) return;
    this.#foreignLogged = true;
    this.#options.log.warn(
      { prefix: this.#options.prefix },
      'Another Parley installation uses this Redis with the same prefix. Its events are dropped. Presence, sessions and ' +
        'rates are mixed: give each installation its own PARLEY_REDIS_PREFIX.',
    );
  }

  /** Requests all needed subscriptions. The node is reachable when Redis has confirmed all of them. */
  async #subscribeAll(): Promise<void> {
    const { link } = this.#options;
    const [wanted, rest] = [true, false].map((is) => this.#partitions.filter(({ rooms }) => rooms > 0 === is));
    const requested = (wanted ?? []).map((partition) => this.#subscribe(partition));
    // the driver renews all of its subscriptions, also those that ended while Redis was down
    if (rest !== undefined && rest.length > 0) {
      link.subscriber.unsubscribe(...rest.map(({ channel }) => channel)).catch(() => {});
    }
    try {
      await link.subscriber.subscribe(this.#userChannel);
      // and the partitions that became occupied meanwhile
      const made = await Promise.all([...requested, ...this.#partitions.map(({ subscribing }) => subscribing)]);
      if (made.includes(false)) return;
    } catch (error) {
      // a link that is down reports its return; a refusal would stay unnoticed
      if (link.up && !this.#closed) this.#warn(refused, { err: error });
      return;
    }
    if (link.up && !this.#closed) this.#setReachable(true);
  }

  /** @returns whether Redis confirmed the subscription */
  #subscribe(partition: Partition): Promise<boolean> {
    const subscribing = this.#options.link.subscriber.subscribe(partition.channel).then(
      () => true,
      (error: unknown) => {
        if (this.#options.link.up) this.#warn(refused, { err: error });
        return false;
      },
    );
    partition.subscribing = subscribing;
    void subscribing.then(() => {
      if (partition.subscribing === subscribing) partition.subscribing = undefined;
    });
    return subscribing;
  }

  #setReachable(reachable: boolean): void {
    if (reachable === this.#reachable) return;
    this.#reachable = reachable;
    for (const listener of this.#listeners) listener(reachable);
  }

  /** Logs at most once in 10 s: the cause may come with every message. The metrics have the numbers. */
  #warn(text: string, details: object): void {
    const now = performance.now();
    if (now - this.#loggedAt < logEveryMs) return;
    this.#loggedAt = now;
    this.#options.log.warn(details, text);
  }
}

/** Revs of another epoch mean nothing here. Events that a node drops for that are read from Postgres. */
function withoutRevs(envelope: Envelope): Envelope[] {
  if (envelope.to === 'room') return envelope.rev === undefined ? [envelope] : [];
  if (envelope.to !== 'user') return [envelope];
  const { head: _, ...rest } = envelope;
  return [rest];
}

function laneOf({ to }: Envelope): Lane {
  return to === 'room' ? 'room' : 'user';
}
