import type { CommandLimits } from './commands/dispatcher.ts';
import type { SignalLimits } from './commands/signals.ts';
import type { UserShareLimits } from './commands/user-shares.ts';
import type { Config } from './config/config.ts';
import { userLimits } from './config/user-limits.ts';
import type { SocketSettings } from './connect/sockets.ts';
import type { SlowConsumerSettings } from './hub/slow-consumers.ts';
import type { UnsentSettings } from './hub/unsent.ts';
import type { InteropSettings } from './interop/socketio-redis/interop.ts';
import type { Machine } from './telemetry/machine.ts';
import type { EngineSettings } from './transport/engineio/engine.ts';

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
  /** Time between two rounds of anti-entropy. */
  readonly headsPollMs: number;
  /** Messages of a room in its replay buffer. */
  readonly tailMessages: number;
  /** Bytes of all replay buffers. */
  readonly tailBytes: number;
}

export function gatewaySettings(config: Config, { maxConnections, memoryBytes, workers }: Machine): GatewaySettings {
  return {
    ...config,
    ...userLimits(config),
    maxConnections,
    path: '/socket.io/',
    localOrigins: config.embedded,
    // a long-polling session is many requests, which the kernel would spread over the workers
    longPolling: workers === 1,
    maxMemoryBytes: config.maxMemoryBytes ?? Math.floor((memoryBytes * 0.8) / workers),
  };
}
