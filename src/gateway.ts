/** The gateway as one part: makes its own parts, takes fan-out's events, and sends its clients away when it stops. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { ClientAddress } from './http/client-address.ts';
import type { UserRates } from './rates/user-rates.ts';
import type { TokenVerifier } from './sessions/tokens.ts';
import type { Envelope, Fanout } from './fanout/fanout.ts';
import type { Epochs } from './recovery/epochs.ts';
import type { Messaging } from './messaging.ts';
import { ReplayBuffer } from './recovery/replay-buffer.ts';
import type { Lease } from './storage/lease.ts';
import type { RedisLink } from './storage/redis.ts';
import { commands as declarations } from './protocol/commands.ts';
import { ParleyError } from './protocol/errors.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { PresenceHost, PresencePart } from './presence/open.ts';
import { Connector } from './connect/connect.ts';
import { SessionRegistry } from './sessions/registry.ts';
import { CommandRate } from './commands/command-rate.ts';
import { Commands, type CommandLimits } from './commands/dispatcher.ts';
import { commandsAround } from './commands/around.ts';
import { connectionCommands } from './commands/connection-commands.ts';
import { commandTable } from './commands/table.ts';
import type { Connection } from './hub/connection.ts';
import { openInterop, type Interop, type InteropSettings } from './interop/socketio-redis/interop.ts';
import { drain } from './hub/drain.ts';
import { Engine, type EngineSettings } from './transport/engineio/engine.ts';
import { createHandlers } from './commands/handlers.ts';
import { createHub, type Hub } from './hub/hub.ts';
import { readsOnlyUntil } from './hub/subscriptions.ts';
import { MembershipReconciler } from './recovery/membership-reconciler.ts';
import { followEpochs } from './recovery/new-epoch.ts';
import { LoadShedding } from './commands/load-shedding.ts';
import { Parley } from './commands/parley.ts';
import { AntiEntropy } from './recovery/anti-entropy.ts';
import { SettingsReconciler } from './recovery/settings-reconciler.ts';
import type { SignalLimits } from './commands/signals.ts';
import type { SlowConsumerSettings } from './hub/slow-consumers.ts';
import { Sockets, type SocketSettings } from './connect/sockets.ts';
import { Unsent, type UnsentSettings } from './hub/unsent.ts';
import { UserShares, type UserShareLimits } from './commands/user-shares.ts';
import { every } from './jobs/periodic.ts';

export interface GatewaySettings
  extends
    EngineSettings,
    SocketSettings,
    CommandLimits,
    SignalLimits,
    SlowConsumerSettings,
    UnsentSettings,
    UserShareLimits,
    InteropSettings {
  readonly maxConnectionsPerUser: number;
  readonly adding: 'consent' | 'direct';
  readonly maxEventLoopDelayMs: number;
  readonly maxMemoryBytes: number;
  /** Between looks at Postgres for what this node was not told. */
  readonly headsPollMs: number;
  /** Messages of a room that are kept in memory for those who come back. */
  readonly tailMessages: number;
  readonly tailBytes: number;
}

export interface GatewayParts {
  readonly app: TemplatedApp;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly node: string;
  readonly clientAddress: ClientAddress;
}

const slowSweepMs = 250;

export class Gateway {
  readonly #settings: GatewaySettings;
  readonly #parts: GatewayParts;
  readonly #registry: SessionRegistry;
  #serving: Serving | undefined = undefined;
  #interop: Interop | undefined = undefined;

  constructor(settings: GatewaySettings, parts: GatewayParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#registry = new SessionRegistry(parts);
  }

  /** What presence and revocations reach connections by. */
  get presenceHost(): PresenceHost<Connection> {
    return this.#registry;
  }

  /** Fan-out's receiver. */
  receive(envelopes: readonly Envelope[]): void {
    if (this.#serving === undefined) return;
    const { hub, lease } = this.#serving;
    // nearly always; the rest of this took a twentieth of a signal
    if (envelopes.every(isOfRoom)) return hub.receiver.receive(envelopes);
    const closed = envelopes.flatMap((envelope) =>
      envelope.to === 'closed' ? hub.memberships.usersIn(envelope.room) : [],
    );
    hub.receiver.receive(envelopes);
    this.#registry.received(envelopes);
    for (const user of closed) this.#registry.departed(user);
    if (envelopes.some(isAwaited)) lease.hurry();
  }

  /** Resolves when connections may come. */
  async serve(core: {
    messaging: Messaging;
    fanout: Fanout;
    verifier: TokenVerifier;
    presence: PresencePart<Connection>;
    rates: UserRates;
    lease: Lease;
    epochs: Epochs;
  }): Promise<void> {
    const { metrics, log, node } = this.#parts;
    const { messaging, fanout, lease, epochs } = core;
    const registry = this.#registry;
    const settings = this.#settings;
    const { tailMessages, tailBytes } = settings;
    const replay = new ReplayBuffer({
      messages: tailMessages,
      maxBytes: tailBytes,
      // without the others, memberships may have ended that are not known here
      head: (room) => (fanout.others?.reachable === false || !lease.held ? undefined : hub.order.head(room)),
      read: (asked) => messaging.recent(asked, tailMessages),
      metrics,
    });
    const hub: Hub = createHub({
      replay,
      topics: () => this.#running().engine.topics,
      settings,
      fanout,
      backfill: async (room, rev) => {
        await antiEntropy.beforeRead();
        return messaging.backfill.events(room, rev);
      },
      mayDeliver: () => lease.held,
      metrics,
      log,
    });
    const unsent = new Unsent(settings, metrics);
    const relief = { relieve: (bytes: number) => unsent.relieve(hub.connections.all(), bytes) };
    const loadShedding = new LoadShedding(settings, { writer: messaging.writer, relief, metrics });
    registry.serve(core.presence, hub.connections, core.verifier);
    const shares = new UserShares(settings, metrics, (id) => hub.connections.user(id));
    const follows = (user: string, room: string): boolean => lease.held && hub.memberships.isInside(user, room);
    const table = commandTable(
      {
        declarations,
        handlers: createHandlers({ ...core, registry, replay, follows, adding: settings.adding }),
        ofConnection: connectionCommands({ ...core, registry }),
        around: commandsAround({ hub, shares, signalLimits: settings, now: () => messaging.now(), metrics }),
      },
      metrics,
    );
    const rate = new CommandRate(settings, shares);
    const commands = new Commands({ table, limits: settings, rate, loadShedding, unsent, shares, metrics, log });
    const { maxConnectionsPerUser } = settings;
    const connector = new Connector({
      ...core,
      connectLoad: messaging.connectLoad,
      hub,
      registry,
      node,
      maxConnectionsPerUser,
    });
    const { writer } = messaging;
    const parley = new Parley({
      hub,
      connector,
      registry,
      commands,
      rate,
      loadShedding,
      unsent,
      shares,
      writer,
      metrics,
      log,
    });
    const sockets = new Sockets(settings, parley, { metrics, log });
    const refuse = (): ParleyError | undefined =>
      loadShedding.reason === undefined ? undefined : new ParleyError('overloaded', undefined, { retryAfter: 2000 });
    const engine = new Engine(settings, { ...this.#parts, refuse }, sockets);
    const watch = watchSlow(hub, engine, unsent);
    const memberships = new MembershipReconciler(
      messaging.backfill,
      hub.memberships,
      {
        toUser: (event) => hub.receiver.toUser(event),
        departed: (user) => registry.departed(user),
      },
      { reach: () => fanout.others?.reachable !== false },
    );
    const antiEntropy = new AntiEntropy({
      others: fanout.others,
      order: hub.order,
      receiver: hub.receiver,
      lease,
      memberships,
      roomStates: new SettingsReconciler(messaging.backfill, hub.receiver),
      heads: (rooms) => messaging.backfill.heads(rooms),
      epochs,
      pollMs: settings.headsPollMs,
      metrics,
      log,
    });
    followEpochs({ ...core, hub, antiEntropy, replay, connector, log });
    this.#serving = { hub, antiEntropy, lease, loadShedding, shares, commands, sockets, engine, watch };
    lease.follow((isNew) => {
      // of another history they would be too high
      if (isNew) hub.memberships.forgetVersions();
      return memberships.step();
    });
    await antiEntropy.start();
    await lease.start();
  }

  /** For backend services, by Redis. @returns when they are heard, or, with Redis away, will be. */
  openInterop(redis: RedisLink): Promise<void> {
    const { hub, sockets } = this.#running();
    this.#interop = openInterop(this.#settings, redis, { ...this.#parts, ...hub, sockets });
    return redis.up ? this.#interop.subscribed() : Promise.resolve();
  }

  closeInterop(): void {
    this.#interop?.close();
    this.#interop = undefined;
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

  async close(): Promise<void> {
    const { hub, antiEntropy, lease, loadShedding, shares, sockets, engine, watch } = this.#running();
    this.closeInterop();
    clearInterval(watch);
    hub.order.stop();
    await antiEntropy.stop();
    loadShedding.stop();
    shares.stop();
    sockets.stop();
    engine.close();
    await lease.stop();
  }

  #running(): Serving {
    if (this.#serving === undefined) throw new Error('the gateway does not serve yet');
    return this.#serving;
  }
}

/** Whether an acknowledgement waits until all nodes have applied it: it takes something from somebody. */
function isOfRoom({ to }: Envelope): boolean {
  return to === 'room';
}

function isAwaited(envelope: Envelope): boolean {
  if (envelope.to === 'closed') return true;
  return envelope.to === 'membership' && (envelope.role === null || readsOnlyUntil(envelope) !== undefined);
}

function watchSlow({ broadcaster, slow }: Hub, engine: Engine<Connection>, unsent: Unsent): NodeJS.Timeout {
  let seen = 0;
  return every(() => {
    // buffers grow only by what is delivered and by answers, which are counted as they are sent
    if (broadcaster.delivered === seen && !slow.anyQuiet && unsent.total === 0) return;
    seen = broadcaster.delivered;
    engine.guard(() => {
      slow.sweep(engine.all());
      unsent.sweep(engine.all());
    });
  }, slowSweepMs);
}

interface Serving {
  readonly hub: Hub;
  readonly antiEntropy: AntiEntropy;
  readonly lease: Lease;
  readonly loadShedding: LoadShedding;
  readonly shares: UserShares;
  readonly commands: Commands;
  readonly sockets: Sockets;
  readonly engine: Engine<Connection>;
  readonly watch: NodeJS.Timeout;
}
