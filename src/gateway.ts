/** The gateway as one part: makes its parts in order, and stops them. */
import type { TemplatedApp } from 'uWebSockets.js';
import type { ClientAddress } from './http/client-address.ts';
import type { UserRates } from './rates/user-rates.ts';
import type { TokenVerifier } from './sessions/tokens.ts';
import type { Fanout } from './fanout/fanout.ts';
import type { Epochs } from './recovery/epochs.ts';
import type { Cache } from './storage/cache.ts';
import type { Messaging } from './messaging.ts';
import { ReplayBuffer } from './recovery/replay-buffer.ts';
import type { Notifications } from './notifications/notifications.ts';
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
import { Refusals } from './commands/refusals.ts';
import { Commands } from './commands/dispatcher.ts';
import { callerChecks } from './commands/caller-checks.ts';
import { commandsAround } from './commands/around.ts';
import { connectionCommands } from './commands/connection-commands.ts';
import { commandTable } from './commands/table.ts';
import type { Connection } from './hub/connection.ts';
import type { Connections } from './hub/connections.ts';
import { openInterop, type Interop } from './interop/socketio-redis/interop.ts';
import { drain } from './hub/drain.ts';
import { Engine } from './transport/engineio/engine.ts';
import { Topics } from './transport/engineio/topics.ts';
import { createHandlers } from './commands/handlers.ts';
import { createHub, type Hub } from './hub/hub.ts';
import { inspect } from './hub/inspection.ts';
import type { ConnectionFacts, InspectQuestion, RoomFacts } from './protocol/inspection.ts';
import { MembershipReconciler } from './recovery/membership-reconciler.ts';
import { followEpochs } from './recovery/new-epoch.ts';
import { LoadShedding } from './commands/load-shedding.ts';
import { ParleyNamespace } from './commands/parley-namespace.ts';
import { CatchUp } from './recovery/catch-up.ts';
import { AntiEntropy } from './recovery/anti-entropy.ts';
import { Backfiller, createGaps } from './recovery/backfiller.ts';
import { SettingsReconciler } from './recovery/settings-reconciler.ts';
import { Sockets } from './connect/sockets.ts';
import { Unsent } from './hub/unsent.ts';
import { UserShares } from './commands/user-shares.ts';
import { sweepBuffers } from './hub/buffer-sweep.ts';
import type { GatewaySettings } from './gateway-settings.ts';

export interface GatewayParts {
  readonly app: TemplatedApp;
  readonly node: string;
  readonly clientAddress: ClientAddress;
  readonly connections: Connections;
  readonly messaging: Messaging;
  readonly notifications: Notifications;
  readonly fanout: Fanout;
  readonly verifier: TokenVerifier;
  readonly sessions: LocalSessions;
  readonly presence: PresencePart<Connection>;
  readonly rates: UserRates;
  readonly lease: Lease;
  readonly epochs: Epochs;
  readonly cache: Cache;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Makes the parts of the gateway, each from those before it. Resolves when the node is ready for connections. */
export async function openGateway(settings: GatewaySettings, parts: GatewayParts): Promise<Gateway> {
  const { app, clientAddress, connections, messaging, fanout, lease, epochs, sessions, metrics, log } = parts;
  const reachable = (): boolean => fanout.others?.reachable !== false;
  const { replayMessages, replayBytes } = settings;

  const topics = new Topics(app);
  const gaps = createGaps();
  const replay = new ReplayBuffer({
    messages: replayMessages,
    maxBytes: replayBytes,
    read: (rooms) => messaging.recent(rooms, replayMessages),
    metrics,
  });
  const registry = new SessionRegistry(parts.presence, metrics);
  const hub = createHub({ connections, topics, settings, fanout, gaps, replay, registry, lease, metrics, log });

  const memberships = new MembershipReconciler(
    messaging.backfill,
    hub.subscriptions,
    { toUser: (event) => hub.receiver.toUser(event), departed: (user) => registry.departed(user) },
    { reachable },
  );
  const backfiller = new Backfiller({
    gaps,
    resequencer: hub.resequencer,
    read: async (room, rev) => {
      // the node must know the memberships of that moment before it delivers events from Postgres
      if (!reachable()) await memberships.step();
      return messaging.backfill.events(room, rev);
    },
  });
  const antiEntropy = new AntiEntropy({
    others: fanout.others,
    resequencer: hub.resequencer,
    receiver: hub.receiver,
    lease,
    memberships,
    settings: new SettingsReconciler(messaging.backfill, hub.receiver),
    heads: (rooms) => messaging.backfill.heads(rooms),
    epochs,
    pollMs: settings.headsPollMs,
    metrics,
    log,
  });

  const unsent = new Unsent(settings, metrics);
  const relief = { relieve: (bytes: number) => unsent.relieve(connections.all(), bytes) };
  const loadShedding = new LoadShedding(settings, { relief, metrics });
  const shares = new UserShares(settings, metrics, (id) => connections.user(id));
  const catchUp = new CatchUp({ ...hub, replay, messaging, metrics });
  const table = commandTable(
    {
      declarations,
      handlers: createHandlers({ ...parts, registry, catchUp, adding: settings.adding }),
      ofConnection: connectionCommands({ ...parts, registry }),
      checks: callerChecks(messaging),
      around: commandsAround({ hub, shares, signalLimits: settings, now: () => messaging.now(), metrics }),
    },
    metrics,
  );
  const { connectLoad, writer } = messaging;
  const refusals = new Refusals();
  const limiting = { limits: settings, unsent, shares, refusals, metrics };
  const admission = new Admission({ ...limiting, loadShedding, writer });
  const commands = new Commands({ ...limiting, table, admission, log });
  const { maxConnectionsPerUser } = settings;
  const connector = new Connector({ ...parts, connectLoad, hub, sessions, registry, maxConnectionsPerUser });
  const parley = new ParleyNamespace({
    hub,
    connector,
    registry,
    admission,
    commands,
    unsent,
    metrics,
    log,
  });
  const sockets = new Sockets(settings, parley, { metrics, log });
  const refuse = (): ParleyError | undefined =>
    loadShedding.reason === undefined ? undefined : new ParleyError('overloaded', undefined, { retryAfter: 2000 });
  const engine = new Engine(settings, { app, topics, clientAddress, refuse, metrics, log }, sockets);
  const sweep = sweepBuffers(hub, engine, unsent);

  const gateway = new Gateway({
    settings,
    hub,
    registry,
    antiEntropy,
    lease,
    loadShedding,
    shares,
    refusals,
    commands,
    sockets,
    engine,
    sweep,
    metrics,
    log,
  });
  followEpochs({ ...parts, hub, antiEntropy, replay, connector });
  lease.follow((isNew) => {
    // versions of another history would be too high
    if (isNew) hub.subscriptions.forgetVersions();
    return memberships.step();
  });
  fanout.listen(hub.receiver.receive.bind(hub.receiver));
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
  readonly refusals: Refusals;
  readonly commands: Commands;
  readonly sockets: Sockets;
  readonly engine: Engine<Connection>;
  readonly sweep: NodeJS.Timeout;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class Gateway {
  readonly #parts: Running;
  #interop: Interop | undefined = undefined;

  constructor(parts: Running) {
    this.#parts = parts;
  }

  /** Opens the way for backend services over Redis. Resolves when their events arrive, or will once Redis is up. */
  openInterop(redis: RedisLink): Promise<void> {
    const { settings, hub, sockets, metrics, log } = this.#parts;
    this.#interop = openInterop(settings, redis, { ...hub, sockets, metrics, log });
    return redis.up ? this.#interop.subscribed() : Promise.resolve();
  }

  closeInterop(): void {
    this.#interop?.close();
    this.#interop = undefined;
  }

  /** The parts that REST needs: the commands for callers without a connection, the sessions of users, and the hub. */
  get rest(): Pick<Running, 'commands' | 'registry' | 'hub'> {
    return this.#parts;
  }

  /** For `parley inspect`. */
  inspect(question: InspectQuestion): RoomFacts | ConnectionFacts | undefined {
    return inspect(this.#parts.hub, question);
  }

  refuseConnections(): void {
    this.#parts.engine.refuseConnections();
  }

  /** Refuses commands that write, so that another process may write. Resolves when accepted ones have been answered. */
  finishWrites(): Promise<void> {
    return this.#parts.commands.drain('writes');
  }

  /** Closes all connections, spread over the window. Clients may read until then. */
  async drain(windowMs: number): Promise<void> {
    await drain(this.#parts.engine.all(), windowMs);
  }

  /** Answers `draining` from now on. Resolves when accepted commands have been answered. */
  finishCommands(): Promise<void> {
    return this.#parts.commands.drain('all');
  }

  async close(): Promise<void> {
    const { hub, antiEntropy, lease, loadShedding, shares, refusals, sockets, engine, sweep } = this.#parts;
    this.closeInterop();
    clearInterval(sweep);
    hub.resequencer.stop();
    await antiEntropy.stop();
    loadShedding.stop();
    shares.stop();
    refusals.stop();
    sockets.stop();
    engine.close();
    await lease.stop();
  }
}
