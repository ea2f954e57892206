import type { CommandLimits } from './commands/dispatcher.ts';
import type { SignalLimits } from './commands/signals.ts';
import type { UserShareLimits } from './commands/user-shares.ts';
import type { SocketSettings } from './connect/sockets.ts';
import type { SlowConsumerSettings } from './hub/slow-consumers.ts';
import type { UnsentSettings } from './hub/unsent.ts';
import type { InteropSettings } from './interop/socketio-redis/interop.ts';
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
  readonly replayMessages: number;
  /** Bytes of all replay buffers. */
  readonly replayBytes: number;
}
