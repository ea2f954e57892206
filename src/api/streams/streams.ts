/**
 * The streams of rooms on this node: their number, the rights of their callers, and their heartbeats. A stream ends within a
 * second after its token or its API key is revoked or expires. A drain ends the streams spread over its window.
 */
import type { Hub } from '../../hub/hub.ts';
import { systemClock, type Clock } from '../../jobs/clock.ts';
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { LocalSessions } from '../../sessions/local-sessions.ts';
import type { Identity as TokenIdentity } from '../../sessions/tokens.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Identity } from '../identity.ts';
import { ApiKey } from '../keys/api-key.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { RoomStream, type RoomStreamParts, type StreamStart } from './room-stream.ts';
import type { StreamEnd } from './stream-end.ts';

export interface StreamSettings {
  readonly maxStreams: number;
  readonly maxStreamsPerCaller: number;
  readonly maxStreamBufferBytes: number;
  readonly streamHeartbeatMs: number;
}

export interface StreamsParts {
  readonly settings: StreamSettings;
  readonly hub: Pick<Hub, 'followers' | 'interest' | 'resequencer'>;
  readonly sessions: Pick<LocalSessions, 'revokedAmong'>;
  readonly keys: Pick<ApiKeys, 'onRevoked'>;
  readonly metrics: Pick<Metrics, 'internalErrors' | 'rest'>;
  readonly log: Log;
  readonly clock?: Clock;
}

/** A request for a stream, whose caller may read the room unless the first read says otherwise. */
export interface StreamRequest extends StreamStart, Pick<RoomStreamParts, 'user' | 'room' | 'reads'> {
  readonly identity: Identity;
}

interface Open {
  readonly caller: string;
  readonly token: TokenIdentity | undefined;
  unwatch: () => void;
}

const checkMs = 500;
const drainStepMs = 50;
/** The last lines leave within this time after the window of the drain. */
const drainExtraMs = 1000;
/** A request is answered with an error after 15 s, and nobody would read the stream then. */
const beginWithinMs = 14_000;

export class Streams {
  readonly #parts: StreamsParts;
  readonly #clock: Clock;
  readonly #open = new Map<RoomStream, Open>();
  /** Open streams by caller. */
  readonly #callers = new Map<string, number>();
  readonly #checks: PeriodicTask;
  readonly #heartbeats: PeriodicTask;
  #isDraining = false;

  constructor(parts: StreamsParts) {
    const { metrics, log, settings, clock = systemClock } = parts;
    this.#parts = parts;
    this.#clock = clock;
    const failed = (err: unknown, isFirst: boolean): void => {
      const line =
        'Could not read revocations from Postgres for the streams; retrying. Streams of revoked tokens go on until then.';
      if (isFirst) log.warn({ err }, line);
    };
    const shared = { failed, keepsAlive: false, clock };
    this.#checks = new PeriodicTask({ run: () => this.#check(), everyMs: checkMs, ...shared });
    const everyMs = Math.min(1000, settings.streamHeartbeatMs / 4);
    this.#heartbeats = new PeriodicTask({ run: () => this.#beat(), everyMs, ...shared });
    this.#checks.start();
    this.#heartbeats.start();
    metrics.rest.watchStreams(() => this.#open.size);
  }

  /** @throws {ParleyError} `limit_reached`, `overloaded`, `draining`, or the error of the first read */
  async open({ identity, user, room, reads, ...start }: StreamRequest): Promise<RoomStream> {
    const { hub, metrics, settings } = this.#parts;
    const caller = this.#admit(identity, user);
    const from = this.#clock.now();
    const stream = new RoomStream(start, {
      user,
      room,
      reads,
      maxBufferBytes: settings.maxStreamBufferBytes,
      noteHead: (rev) => hub.resequencer.noteHead(room, rev),
      clock: this.#clock,
      fellBehind: () => metrics.rest.streamsBehind.inc(),
      unfollow: (follower) => hub.followers.remove(follower),
      closed: (closed, reason) => this.#closed(closed, reason),
      failed: (error) => this.#failed(error),
    });
    const open: Open = { caller, token: identity.kind === 'user' ? identity.token : undefined, unwatch: () => {} };
    this.#open.set(stream, open);
    metrics.rest.streamsOpened.inc();
    try {
      this.#watch(identity, stream, open);
      hub.followers.add(stream);
      await hub.interest.roomReached(room);
      await stream.begin();
      if (this.#clock.now() - from > beginWithinMs) throw new ParleyError('unavailable');
      return stream;
    } catch (error) {
      stream.abandon(error instanceof ParleyError ? error.code : 'internal');
      throw error;
    }
  }

  /** Refuses streams from now on, and ends the open ones spread over the window. Resolves when they have ended. */
  async drain(windowMs: number): Promise<void> {
    this.#isDraining = true;
    const leaving = [...this.#open.keys()];
    const from = this.#clock.now();
    for (let ended = 0; ended < leaving.length;) {
      const share = windowMs === 0 ? 1 : (this.#clock.now() - from) / windowMs;
      while (ended < leaving.length && ended + 1 <= share * leaving.length) leaving[ended++]?.end('draining');
      if (ended < leaving.length) await this.#pause(drainStepMs);
    }
    while (this.#open.size > 0 && this.#clock.now() - from < windowMs + drainExtraMs) await this.#pause(drainStepMs);
    await Promise.all([this.#checks.stop(), this.#heartbeats.stop()]);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve));
  }

  /** @returns the key by which the streams of the caller are counted. @throws {ParleyError} */
  #admit(identity: Identity, user: string): string {
    const { settings, metrics } = this.#parts;
    if (this.#isDraining) throw new ParleyError('draining', undefined, { retryAfter: 1000 });
    if (this.#open.size >= settings.maxStreams) {
      metrics.rest.streamsRefused.inc({ limit: 'node' });
      const detail = 'This node has as many streams as it may have (PARLEY_MAX_STREAMS).';
      throw new ParleyError('overloaded', detail, { retryAfter: 5000 });
    }
    const caller = identity.kind === 'key' ? `key:${identity.key.id}` : `user:${user}`;
    const streams = this.#callers.get(caller) ?? 0;
    if (streams >= settings.maxStreamsPerCaller) {
      metrics.rest.streamsRefused.inc({ limit: 'caller' });
      const detail = 'You have as many streams on this node as a caller may have (PARLEY_MAX_STREAMS_PER_CALLER).';
      throw new ParleyError('limit_reached', detail);
    }
    this.#callers.set(caller, streams + 1);
    return caller;
  }

  #watch(identity: Identity, stream: RoomStream, open: Open): void {
    if (identity.kind !== 'key' || !(identity.key instanceof ApiKey)) return;
    const { expiresAt } = identity.key;
    open.unwatch = this.#parts.keys.onRevoked(identity.key, () =>
      stream.end(expiresAt !== undefined && Date.now() >= expiresAt ? 'token_expired' : 'session_revoked'),
    );
  }

  #closed(stream: RoomStream, reason: StreamEnd): void {
    const open = this.#open.get(stream);
    if (open === undefined) return;
    this.#open.delete(stream);
    open.unwatch();
    const left = (this.#callers.get(open.caller) ?? 1) - 1;
    if (left === 0) this.#callers.delete(open.caller);
    else this.#callers.set(open.caller, left);
    this.#parts.metrics.rest.streamsEnded.inc({ reason });
  }

  /** One statement for the tokens of all streams. */
  async #check(): Promise<void> {
    const now = Date.now();
    const byToken = new Map<string, { readonly token: TokenIdentity; readonly streams: RoomStream[] }>();
    for (const [stream, { token }] of this.#open) {
      if (token === undefined || stream.isOver) continue;
      if (now >= token.expires) stream.end('token_expired');
      else {
        const entry = byToken.get(token.key) ?? { token, streams: [] };
        entry.streams.push(stream);
        byToken.set(token.key, entry);
      }
    }
    if (byToken.size === 0) return;
    const entries = [...byToken.values()];
    const revoked = await this.#parts.sessions.revokedAmong(entries.map(({ token }) => token));
    for (const at of revoked) for (const stream of entries[at]?.streams ?? []) stream.end('session_revoked');
  }

  #beat(): void {
    const before = this.#clock.now() - this.#parts.settings.streamHeartbeatMs;
    for (const stream of this.#open.keys()) if (stream.tookAt <= before) stream.heartbeat();
  }

  #failed(error: unknown): void {
    const { metrics, log } = this.#parts;
    metrics.internalErrors.inc({ where: 'http' });
    log.error({ err: error }, 'A stream of a room failed; its last line has the code `internal`.');
  }
}
