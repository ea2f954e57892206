/** The gateway as one part: its parts in the order in which they are made, and how it stops. */
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
import type { PresencePart } from './presence/open.ts';
import { Connector } from './connect/connect.ts';
import type { LocalSessions } from './sessions/local-sessions.ts';
import { SessionRegistry } from './sessions/registry.ts';
import { Admission } from './commands/admission.ts';
import { CommandRate } from './commands/command-rate.ts';
import { Commands, type CommandLimits } from './commands/dispatcher.ts';
import { commandsAround } from './commands/around.ts';
import { connectionCommands } from './commands/connection-commands.ts';
import { commandTable } from './commands/table.ts';
import type { Connection } from './hub/connection.ts';
import type { Connections } from './hub/connections.ts';
import { openInterop, type Interop, type InteropSettings } from './interop/socketio-redis/interop.ts';
import { drain } from './hub/drain.ts';
import { Engine, type EngineSettings } from './transport/engineio/engine.ts';
import { Topics } from './transport/engineio/topics.ts';
import { createHandlers } from './commands/handlers.ts';
import { createHub, type Hub } from './hub/hub.ts';
import { inspect } from './hub/inspection.ts';
import type { ConnectionFacts, InspectQuestion, RoomFacts } from './protocol/inspection.ts';
import { readsOnlyUntil } from './hub/subscriptions.ts';
import { MembershipReconciler } from './recovery/membership-reconciler.ts';
import { followEpochs } from './recovery/new-epoch.ts';
import { LoadShedding } from './commands/load-shedding.ts';
import { ParleyNamespace } from './commands/parley-namespace.ts';
import { AntiEntropy } from './recovery/anti-entropy.ts';
import { Backfiller, createGaps } from './recovery/backfiller.ts';
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
  readonly node: string;
  readonly clientAddress: ClientAddress;
  readonly connections: Connections;
  readonly messaging: Messaging;
  readonly fanout: Fanout;
  readonly verifier: TokenVerifier;
  readonly sessions: LocalSessions;
  readonly presence: PresencePart<Connection>;
  readonly rates: UserRates;
  readonly lease: Lease;
  readonly epochs: Epochs;
  readonly metrics: Metrics;
  readonly log: Log;
}

const slowSweepMs = 250;

/** Makes the parts of the gateway, each from those before it. Resolves when connections may come. */
export async function openGateway(settings: GatewaySettings, parts: GatewayParts): Promise<Gateway> {
  const { app, clientAddress, connections, messaging, fanout, lease, epochs, sessions, metrics, log } = parts;
  const reach = (): boolean => fanout.others?.reachable !== false;
  const { tailMessages, tailBytes } = settings;

  const topics = new Topics(app);
  const gaps = createGaps();
  const replay = new ReplayBuffer({
    messages: tailMessages,
    maxBytes: tailBytes,
    read: (rooms) => messaging.recent(rooms, tailMessages),
    metrics,
  });
  const mayDeliver = (): boolean => lease.held;
  const hub = createHub({ connections, topics, settings, fanout, gaps, replay, mayDeliver, metrics, log });
  const registry = new SessionRegistry(parts.presence, metrics);

  const memberships = new MembershipReconciler(
    messaging.backfill,
    hub.memberships,
    { toUser: (event) => hub.receiver.toUser(event), departed: (user) => registry.departed(user) },
    { reach },
  );
  const backfiller = new Backfiller({
    gaps,
    order: hub.order,
    read: async (room, rev) => {
      // events of Postgres may go out only after the memberships of that moment are known
      if (!reach()) await memberships.step();
      return messaging.backfill.events(room, rev);
    },
  });
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

  const unsent = new Unsent(settings, metrics);
  const relief = { relieve: (bytes: number) => unsent.relieve(connections.all(), bytes) };
  const loadShedding = new LoadShedding(settings, { writer: messaging.writer, relief, metrics });
  const shares = new UserShares(settings, metrics, (id) => connections.user(id));
  const rate = new CommandRate(settings, shares);
  // while other nodes are out of reach, memberships may have ended that are not known here
  const headOf = (room: string): number | undefined => (reach() && lease.held ? hub.order.head(room) : undefined);
  const follows = (user: string, room: string): boolean => lease.held && hub.memberships.isInside(user, room);
  const table = commandTable(
    {
      declarations,
      handlers: createHandlers({ ...parts, registry, replay, headOf, follows, adding: settings.adding }),
      ofConnection: connectionCommands({ ...parts, registry }),
      around: commandsAround({ hub, shares, signalLimits: settings, now: () => messaging.now(), metrics }),
    },
    metrics,
  );
  const { connectLoad, writer } = messaging;
  const admission = new Admission({ limits: settings, rate, loadShedding, unsent, shares, writer, metrics });
  const commands = new Commands({ table, limits: settings, admission, unsent, shares, metrics, log });
  const { maxConnectionsPerUser } = settings;
  const connector = new Connector({ ...parts, connectLoad, hub, sessions, registry, maxConnectionsPerUser });
  const parley = new ParleyNamespace({
    hub,
    connector,
    registry,
    admission,
    commands,
    rate,
    unsent,
    metrics,
    log,
  });
  const sockets = new Sockets(settings, parley, { metrics, log });
  const refuse = (): ParleyError | undefined =>
    loadShedding.reason === undefined ? undefined : new ParleyError('overloaded', undefined, { retryAfter: 2000 });
  const engine = new Engine(settings, { app, topics, clientAddress, refuse, metrics, log }, sockets);
  const watch = watchSlow(hub, engine, unsent);

  const gateway = new Gateway({
    settings,
    hub,
    registry,
    antiEntropy,
    lease,
    loadShedding,
    shares,
    commands,
    sockets,
    engine,
    watch,
    metrics,
    log,
  });
  followEpochs({ ...parts, hub, antiEntropy, replay, connector });
  lease.follow((isNew) => {
    // of another history they would be too high
    if (isNew) hub.memberships.forgetVersions();
    return memberships.step();
  });
  fanout.listen((envelopes) => gateway.receive(envelopes));
  backfiller.start();
  await antiEntropy.start();
  await lease.start();
  return gateway;
}

interface Running {
  readonly settings: GatewaySettings;
  readonly hub: Hub;
  readonly registry: SessionRegistry;
  readonly antiEntropy: AntiEntropy;
  readonly lease: Lease;
  readonly loadShedding: LoadShedding;
  readonly shares: UserShares;
  readonly commands: Commands;
  readonly sockets: Sockets;
  readonly engine: Engine<Connection>;
  readonly watch: NodeJS.Timeout;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class Gateway {
  readonly #parts: Running;
  #interop: Interop | undefined = undefined;

  constructor(parts: Running) {
    this.#parts = parts;
  }

  /** Takes the envelopes of fan-out. */
  receive(envelopes: readonly Envelope[]): void {
    const { hub, registry, lease } = this.#parts;
    // nearly always; the rest of this took a twentieth of a signal
    if (envelopes.every(isOfRoom)) return hub.receiver.receive(envelopes);
    const closed = envelopes.flatMap((envelope) =>
      envelope.to === 'closed' ? hub.memberships.usersIn(envelope.room) : [],
    );
    hub.receiver.receive(envelopes);
    registry.received(envelopes);
    for (const user of closed) registry.departed(user);
    if (envelopes.some(isAwaited)) lease.hurry();
  }

  /** For backend services, by Redis. @returns when they are heard, or, with Redis away, will be. */
  openInterop(redis: RedisLink): Promise<void> {
    const { settings, hub, sockets, metrics, log } = this.#parts;
    this.#interop = openInterop(settings, redis, { ...hub, sockets, metrics, log });
    return redis.up ? this.#interop.subscribed() : Promise.resolve();
  }

  closeInterop(): void {
    this.#interop?.close();
    this.#interop = undefined;
  }

  /** For `parley inspect`. */
  inspect(question: InspectQuestion): RoomFacts | ConnectionFacts | undefined {
    return inspect(this.#parts.hub, question);
  }

  refuseNewcomers(): void {
    this.#parts.engine.refuseConnections();
  }

  /** Takes nothing more to store, so that another process may; resolves when what was accepted has been answered. */
  finishWrites(): Promise<void> {
    return this.#parts.commands.drain('writes');
  }

  /** Sends everybody away over the window; they may read until they go. */
  async drain(windowMs: number): Promise<void> {
    await drain(this.#parts.engine.all(), windowMs);
  }

  /** Answers `draining` from now on; resolves when what was accepted has been answered. */
  finishCommands(): Promise<void> {
    return this.#parts.commands.drain('all');
  }

  async close(): Promise<void> {
    const { hub, antiEntropy, lease, loadShedding, shares, sockets, engine, watch } = this.#parts;
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
}

function isOfRoom({ to }: Envelope): boolean {
  return to === 'room';
}

/** Whether an acknowledgement waits until all nodes have applied it: it takes something from somebody. */
function isAwaited(envelope: Envelope): boolean {
  if (envelope.to === 'closed') return true;
  return envelope.to === 'membership' && (envelope.role === null || readsOnlyUntil(envelope) !== undefined);
}

function watchSlow({ broadcaster, off, slow }: Hub, engine: Engine<Connection>, unsent: Unsent): NodeJS.Timeout {
  let seen = 0;
  return every(() => {
    // buffers grow only by what is delivered and by answers, which are counted as they are sent
    if (broadcaster.delivered === seen && !off.anyQuiet && unsent.total === 0) return;
    seen = broadcaster.delivered;
    engine.guard(() => {
      slow.sweep(engine.all());
      unsent.sweep(engine.all());
    });
  }, slowSweepMs);
}
