/**
 * The form for many nodes, over Redis Pub/Sub: one PUBLISH for the room events of one `publish`, on the channel of their
 * partition; envelopes to users on another one, to which every node listens.
 *
 * deaf → (Redis is there and has answered our subscriptions) hearing → (it is away) deaf. What comes while deaf is let
 * go: subscriptions are made one after the other, and whoever repairs must begin before the first envelope is heard.
 * Publishing while Redis is away costs nothing but a count: the others will read what is stored from Postgres.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { decodeEnvelopes, encodeEnvelopes, nodeIdBytes, originOf, senderOf } from './envelope-codec.ts';
import type { Envelope, Fanout, Others, Receiver } from './fanout.ts';
import { partOf } from './partition.ts';

export interface RedisFanoutOptions {
  readonly link: RedisLink;
  /** Begins every channel. */
  readonly prefix: string;
  /** Channels that the rooms are spread over; the same on all nodes. */
  readonly partitions: number;
  /** As they are now. Envelopes carry both. */
  readonly installation: { readonly id: string; readonly epoch: string };
  /** A node of the same installation has another epoch: one of the two has not noticed yet. */
  readonly otherEpoch: () => void;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Bytes on their way to Redis past which messages are let go. */
  readonly maxUnansweredBytes?: number;
}

interface Partition {
  readonly channel: string;
  /** Rooms of it that have connections here. */
  rooms: number;
  /** While a subscription is asked for; whether Redis made it. */
  standing: Promise<boolean> | undefined;
}

/** Whether room events and others may go in one message: they have channels of their own. */
type Lane = 'room' | 'user';

const logEveryMs = 10_000;
/** How long a closing node waits for Redis to take its last events. */
const farewellMs = 500;

export class RedisFanout implements Fanout {
  readonly others: Others;
  readonly #options: RedisFanoutOptions;
  #receive: Receiver = () => {};
  /** Of this process, not of the configured name: two nodes that were given the same name must hear each other. */
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
  #hearing = false;
  #closed = false;
  #loggedAt = -Infinity;

  constructor(options: RedisFanoutOptions) {
    const { link, prefix, partitions } = options;
    this.#options = options;
    this.#maxUnanswered = options.maxUnansweredBytes ?? 16 * 1024 * 1024;
    this.#userChannel = `${prefix}user`;
    this.#partitions = Array.from({ length: partitions }, (_, i) => ({
      channel: `${prefix}room:${i}`,
      // the only one is always needed
      rooms: partitions === 1 ? 1 : 0,
      standing: undefined,
    }));
    this.#ownChannels = new Set([this.#userChannel, ...this.#partitions.map(({ channel }) => channel)]);
    const hearing = (): boolean => this.#hearing;
    this.others = {
      get reachable() {
        return hearing();
      },
      onChange: (listener) => void this.#listeners.push(listener),
    };
    const onMessage = (channel: Buffer, message: Buffer): void => this.#message(channel, message);
    link.subscriber.on('messageBuffer', onMessage);
    this.#endings.push(
      () => link.subscriber.off('messageBuffer', onMessage),
      link.onChange((up) => (up ? void this.#listen() : this.#setHearing(false))),
    );
  }

  /** Resolves when other nodes are heard, or cannot be for now. */
  async open(): Promise<void> {
    if (this.#options.link.up) await this.#listen();
  }

  listen(receiver: Receiver): void {
    this.#receive = receiver;
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
  }

  async occupied(room: string): Promise<void> {
    const partition = this.#partitionOf(room);
    if (this.#partitions.length > 1 && partition.rooms++ === 0 && this.#options.link.up && !this.#closed) {
      void this.#subscribe(partition);
    }
    await partition.standing;
  }

  /** Commands of one connection are carried out in order, so a room that is occupied again meanwhile is safe. */
  vacated(room: string): void {
    const partition = this.#partitionOf(room);
    if (this.#partitions.length === 1 || --partition.rooms > 0) return;
    this.#options.link.subscriber.unsubscribe(partition.channel).catch(() => {
      // Redis is away: the next round of subscriptions leaves it out
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#setHearing(false);
    for (const end of this.#endings.splice(0)) end();
    this.#options.link.subscriber.unsubscribe(...this.#ownChannels).catch(() => {
      // it has gone, and our subscriptions with it
    });
    // what a network swallows is never answered
    await Promise.race([this.#lastPublish, delay(farewellMs, undefined, { ref: false })]);
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
    if (!link.up) return this.#failed('away');
    // a Redis that is slow but answers would otherwise gather messages here without end
    if (this.#unanswered + message.length > this.#maxUnanswered) return this.#failed('full');
    this.#unanswered += message.length;
    this.#lastPublish = link.commands.publish(channel, message).then(
      () => void (this.#unanswered -= message.length),
      (error: unknown) => {
        this.#unanswered -= message.length;
        this.#failed('away', error);
      },
    );
  }

  #failed(reason: 'away' | 'full' | 'encoding', error?: unknown): void {
    this.#options.metrics.publishFailures.inc({ reason });
    // being away was logged when it began
    if (reason !== 'away') this.#warn('events could not be published to other nodes', { reason, err: error });
  }

  #message(channel: Buffer, message: Buffer): void {
    if (!this.#hearing || !this.#ownChannels.has(channel.toString())) return;
    const sender = senderOf(message, this.#originNow());
    if (sender === 'self') return;
    if (sender === 'foreign') return this.#foreign();
    let envelopes = decodeEnvelopes(message);
    if (typeof envelopes === 'string') {
      this.#options.metrics.foreignMessages.inc({ reason: envelopes });
      this.#warn('a message from Redis is none that this version understands', { reason: envelopes });
      return;
    }
    if (sender === 'epoch') {
      this.#options.metrics.foreignMessages.inc({ reason: 'epoch' });
      this.#options.otherEpoch();
      envelopes = envelopes.flatMap(withoutRevs);
    }
    try {
      this.#receive(envelopes);
    } catch (error) {
      this.#options.metrics.internalErrors.inc({ where: 'fanout' });
      this.#options.log.error({ err: error }, 'envelopes of another node could not be received');
    }
  }

  #originNow(): Buffer {
    const { id, epoch } = this.#options.installation;
    if (this.#origin?.epoch !== epoch) this.#origin = { epoch, bytes: originOf(this.#node, id, epoch) };
    return this.#origin.bytes;
  }

  /** Another installation uses this Redis with the same prefix. Logged once: it would come with every message. */
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

  /** Asks for all subscriptions that are needed; we hear when Redis has made all of them. */
  async #listen(): Promise<void> {
    const { link } = this.#options;
    const [wanted, rest] = [true, false].map((is) => this.#partitions.filter(({ rooms }) => rooms > 0 === is));
    const asked = (wanted ?? []).map((partition) => this.#subscribe(partition));
    // the driver makes all of its subscriptions again, also those that were given up while Redis was away
    if (rest !== undefined && rest.length > 0) {
      link.subscriber.unsubscribe(...rest.map(({ channel }) => channel)).catch(() => {});
    }
    try {
      await link.subscriber.subscribe(this.#userChannel);
      // and those that were occupied meanwhile
      const made = await Promise.all([...asked, ...this.#partitions.map(({ standing }) => standing)]);
      if (made.includes(false)) return;
    } catch (error) {
      // lost again, and told when it is back; or it refuses us, which would not be told
      if (link.up && !this.#closed) this.#warn('Redis refuses a subscription', { err: error });
      return;
    }
    if (link.up && !this.#closed) this.#setHearing(true);
  }

  /** @returns whether Redis made it. */
  #subscribe(partition: Partition): Promise<boolean> {
    const standing = this.#options.link.subscriber.subscribe(partition.channel).then(
      () => true,
      (error: unknown) => {
        if (this.#options.link.up) this.#warn('Redis refuses a subscription', { err: error });
        return false;
      },
    );
    partition.standing = standing;
    void standing.then(() => {
      if (partition.standing === standing) partition.standing = undefined;
    });
    return standing;
  }

  #setHearing(hearing: boolean): void {
    if (hearing === this.#hearing) return;
    this.#hearing = hearing;
    for (const listener of this.#listeners) listener(hearing);
  }

  /** Once in a while: whatever it is, it may come with every message. The metrics have the numbers. */
  #warn(text: string, details: object): void {
    const now = performance.now();
    if (now - this.#loggedAt < logEveryMs) return;
    this.#loggedAt = now;
    this.#options.log.warn(details, text);
  }
}

/** Revs of another epoch count nothing here; what a node misses by that is read from Postgres. */
function withoutRevs(envelope: Envelope): Envelope[] {
  if (envelope.to === 'room') return envelope.rev === undefined ? [envelope] : [];
  if (envelope.to !== 'user') return [envelope];
  const { head: _, ...rest } = envelope;
  return [rest];
}

function laneOf({ to }: Envelope): Lane {
  return to === 'room' ? 'room' : 'user';
}
