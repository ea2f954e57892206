/** Every setting. The order is that of docs/config.md and of `parley doctor`. */
import { apiKeyKeys } from './api-keys.ts';
import { cacheKeys } from './cache.ts';
import { restKeys } from './rest.ts';
import { commandKeys } from './commands.ts';
import { connectionKeys } from './connections.ts';
import { databaseKeys } from './database.ts';
import { interopKeys } from './interop.ts';
import { laneKeys } from './lanes.ts';
import { listeningKeys } from './listening.ts';
import { messageKeys } from './messages.ts';
import { notificationKeys } from './notifications.ts';
import { operationKeys } from './operations.ts';
import { recoveryKeys } from './recovery.ts';
import { pushKeys } from './push.ts';
import { redisKeys } from './redis.ts';
import { retentionKeys } from './retention.ts';
import { roomKeys } from './rooms.ts';
import { searchKeys } from './search.ts';
import { signalKeys } from './signals.ts';
import { tokenKeys } from './tokens.ts';
import { walletKeys } from './wallet.ts';
import { uploadKeys } from './uploads.ts';
import { webhookKeys } from './webhooks.ts';

export const configKeys = {
  ...listeningKeys,
  ...databaseKeys,
  ...redisKeys,
  ...cacheKeys,
  ...recoveryKeys,
  ...interopKeys,
  ...tokenKeys,
  ...walletKeys,
  ...apiKeyKeys,
  ...connectionKeys,
  ...commandKeys,
  ...messageKeys,
  ...uploadKeys,
  ...webhookKeys,
  ...retentionKeys,
  ...searchKeys,
  ...signalKeys,
  ...roomKeys,
  ...notificationKeys,
  ...pushKeys,
  ...restKeys,
  ...laneKeys,
  ...operationKeys,
} as const;
