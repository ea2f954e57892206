/** The gateway as one part: makes its own parts, takes fan-out's events, and sends its clients away when it stops. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { UserRates } from '../auth/rates/user-rates.ts';
import type { TokenVerifier } from '../auth/tokens.ts';
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import type { Messaging } from '../messaging/messaging.ts';
import type { RedisLink } from '../storage/redis.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { PresenceHost, PresencePart } from '../presence/open.ts';
import { Arrival } from './arrival.ts';
import { Attendance } from './attendance.ts';
import { Commands, type CommandLimits } from './commands.ts';
import type { Connection } from './connection.ts';
import { Connections } from './connections.ts';
import { openDoor, type Door, type DoorSettings } from './door/door.ts';
import { drain } from './drain.ts';
import { Engine, type EngineSettings } from './engine/engine.ts';
import { createHandlers } from './handlers.ts';
import { Overload } from './overload.ts';
import { Parley } from './parley.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';
import { Sockets, type SocketSettings } from './sockets.ts';

export interface GatewaySettings
  extends EngineSettings, SocketSettings, CommandLimits, SlowConsumerSettings, DoorSettings {
  readonly maxConnectionsPerUser: number;
  readonly maxEventLoopDelayMs: number;
  readonly maxMemoryBytes: number;
}

export interface GatewayParts {
  readonly app: TemplatedApp;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly node: string;
}

const slowSweepMs = 250;

export class Gateway {
  readonly #settings: GatewaySettings;
  readonly #parts: GatewayParts;
  readonly #slow: SlowConsumers;
  readonly #connections: Connections;
  readonly #attendance: Attendance;
  #serving: Serving | undefined = undefined;
  #door: Door | undefined = undefined;

  constructor(settings: GatewaySettings, parts: GatewayParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#slow = new SlowConsumers(settings, parts.metrics);
    this.#connections = new Connections(() => this.#running().engine.topics, this.#slow, parts.metrics, parts.log);
    this.#attendance = new Attendance(this.#connections, parts);
  }

  /** What presence and revocations reach connections by. */
  get presenceHost(): PresenceHost<Connection> {
    return this.#attendance;
  }

  /** Fan-out's receiver. */
  receive(envelopes: readonly Envelope[]): void {
    if (this.#serving === undefined) return;
    this.#connections.receive(envelopes);
    this.#attendance.received(envelopes);
  }

  serve(core: {
    messaging: Messaging;
    fanout: Fanout;
    verifier: TokenVerifier;
    presence: PresencePart<Connection>;
    rates: UserRates;
  }): void {
    const { metrics, log, node } = this.#parts;
    const { messaging } = core;
    const connections = this.#connections;
    const attendance = this.#attendance;
    attendance.serve(core.presence);
    const settings = this.#settings;
    const overload = new Overload(settings, messaging.writer, metrics);
    const handlers = createHandlers({ ...core, slow: this.#slow, attendance });
    const commands = new Commands({ handlers, limits: settings, overload, metrics, log });
    const { maxConnectionsPerUser } = settings;
    const arrival = new Arrival({
      ...core,
      arrivals: messaging.arrivals,
      connections,
      attendance,
      node,
      maxConnectionsPerUser,
    });
    const { writer } = messaging;
    const parley = new Parley({ connections, arrival, attendance, commands, overload, writer, metrics, log });
    const sockets = new Sockets(settings, parley, { metrics, log });
    const refuse = (): ParleyError | undefined =>
      overload.reason === undefined ? undefined : new ParleyError('overloaded', undefined, { retryAfter: 2000 });
    const engine = new Engine(settings, { ...this.#parts, refuse }, sockets);
    const watch = this.#watchSlow(engine);
    this.#serving = { overload, commands, sockets, engine, watch };
  }

  /** For backend services, by Redis. @returns when they are heard, or, with Redis away, will be. */
  openDoor(redis: RedisLink): Promise<void> {
    const { sockets } = this.#running();
    this.#door = openDoor(this.#settings, redis, { ...this.#parts, connections: this.#connections, sockets });
    return redis.up ? this.#door.subscribed() : Promise.resolve();
  }

  closeDoor(): void {
    this.#door?.close();
    this.#door = undefined;
  }

  refuseNewcomers(): void {
    this.#running().engine.refuseNewcomers();
  }

  /** Takes nothing more to store, so that another process may; resolves when what was accepted has been answered. */
  finishWrites(): Promise<void> {
    return this.#running().commands.drain('writes');
  }

  /** Sends everybody away over the window; they may read until they go. */
  async drain(windowMs: number): Promise<void> {
    await drain(this.#running().engine.all(), windowMs);
  }

  /** Answers `draining` from now on; resolves when what was accepted has been answered. */
  finishCommands(): Promise<void> {
    return this.#running().commands.drain('all');
  }

  close(): void {
    const { overload, sockets, engine, watch } = this.#running();
    this.closeDoor();
    clearInterval(watch);
    overload.stop();
    sockets.stop();
    engine.close();
  }

  #watchSlow(engine: Engine<Connection>): NodeJS.Timeout {
    let seen = 0;
    return setInterval(() => {
      // buffers grow only by what is delivered
      if (this.#connections.delivered === seen && !this.#slow.anyQuiet) return;
      seen = this.#connections.delivered;
      engine.guard(() => this.#slow.sweep(engine.all()));
    }, slowSweepMs);
  }

  #running(): Serving {
    if (this.#serving === undefined) throw new Error('the gateway does not serve yet');
    return this.#serving;
  }
}

interface Serving {
  readonly overload: Overload;
  readonly commands: Commands;
  readonly sockets: Sockets;
  readonly engine: Engine<Connection>;
  readonly watch: NodeJS.Timeout;
}
