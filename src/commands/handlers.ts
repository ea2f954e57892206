/** The handlers of all commands, by family. A handler gets the caller and no connection: see commands/around.ts. */
import type { UserRates } from '../rates/user-rates.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Notifications } from '../notifications/notifications.ts';
import type { Messaging } from '../messaging.ts';
import type { Commands } from '../protocol/commands.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { ConnectionCommandName } from './connection-commands.ts';
import type { HandlersOf } from './table.ts';
import { deviceHandlers } from './handlers/devices.ts';
import { invitationHandlers } from './handlers/invitations.ts';
import { messageHandlers } from './handlers/messages.ts';
import { notificationHandlers } from './handlers/notifications.ts';
import { presenceHandlers } from './handlers/presence.ts';
import { readHandlers, type ReadParts } from './handlers/reads.ts';
import { receiptHandlers } from './handlers/receipts.ts';
import { roomHandlers } from './handlers/rooms.ts';
import { sessionHandlers } from './handlers/sessions.ts';
import { signalHandlers } from './handlers/signals.ts';
import { threadHandlers } from './handlers/threads.ts';
import { userHandlers } from './handlers/users.ts';

export type Handlers = HandlersOf<Omit<Commands, ConnectionCommandName>>;

export interface HandlerParts extends ReadParts {
  readonly messaging: Messaging;
  readonly fanout: Fanout;
  readonly rates: UserRates;
  readonly registry: SessionRegistry;
  readonly notifications: Notifications;
  readonly adding: 'consent' | 'direct';
}

export function createHandlers(parts: HandlerParts): Handlers {
  const { messaging, fanout, rates, registry, notifications } = parts;
  return {
    ...messageHandlers(messaging, rates),
    ...threadHandlers(messaging),
    ...readHandlers(parts),
    ...receiptHandlers(messaging),
    ...signalHandlers(fanout),
    ...roomHandlers(messaging, parts),
    ...invitationHandlers(messaging, rates),
    ...userHandlers(messaging),
    ...presenceHandlers(registry),
    ...notificationHandlers(notifications),
    ...deviceHandlers(notifications.devices),
    ...sessionHandlers(registry),
  };
}
