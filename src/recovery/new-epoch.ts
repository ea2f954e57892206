/**
 * The steps of a node after the database went back in time. Everything of the old history goes. The memberships are read
 * again. Each connection gets `ready` again, which names the new epoch and the heads. Until a connection has pulled a room,
 * its cursor there belongs to the old history: see `oldEpochRooms` in Connection.
 */
import type { Epochs } from './epochs.ts';
import type { Messaging } from '../messaging.ts';
import type { ReplayBuffer } from './replay-buffer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Cache } from '../storage/cache.ts';
import type { Connector } from '../connect/connect.ts';
import type { Hub } from '../hub/hub.ts';
import type { AntiEntropy } from './anti-entropy.ts';

export interface NewEpochParts {
  readonly epochs: Epochs;
  readonly hub: Hub;
  readonly antiEntropy: AntiEntropy;
  readonly replay: ReplayBuffer;
  readonly messaging: Pick<Messaging, 'forgetHistory'>;
  readonly presence: { restart(): void };
  readonly cache: Pick<Cache, 'clear'>;
  readonly connector: Pick<Connector, 'greet'>;
  readonly log: Log;
}

/** One statement reads the rooms of so many connections; the next ones wait for its answer. */
const greetedAtOnce = 500;

export function followEpochs(parts: NewEpochParts): void {
  parts.epochs.onChange = () => void adopt(parts);
}

async function adopt(parts: NewEpochParts): Promise<void> {
  const { epochs, hub, antiEntropy, replay, messaging, presence, cache, log } = parts;
  const { epoch } = epochs;
  messaging.forgetHistory();
  replay.clear();
  hub.broadcaster.forget();
  hub.subscriptions.forget();
  presence.restart();
  // the promise never rejects, and this node serves no old value from now on
  void cache.clear();
  const read = antiEntropy.restart();
  for (const connection of hub.connections.ready()) {
    connection.oldEpochRooms = new Set(hub.subscriptions.roomsOf(connection));
  }
  await read;
  const waiting = [...hub.connections.ready()].filter(({ oldEpochRooms }) => oldEpochRooms !== undefined);
  for (let from = 0; from < waiting.length && epoch === epochs.epoch; from += greetedAtOnce) {
    await Promise.all(waiting.slice(from, from + greetedAtOnce).map((one) => greet(parts, one)));
  }
  log.info({ epoch, connections: waiting.length }, 'Every connection of this node has the new epoch.');
}

async function greet({ connector, log }: NewEpochParts, connection: Parameters<Connector['greet']>[0]): Promise<void> {
  if (connection.state !== 'ready') return;
  try {
    await connector.greet(connection);
  } catch (error) {
    // the client connects again, and gets `ready` then
    log.debug({ err: error, session: connection.session }, 'Could not send `ready` again; the connection is closed.');
    connection.close('unavailable', 'unavailable');
  }
}
