/**
 * What a node does when the database went back in time: everything that it holds of the old history goes, then memberships
 * are read anew, then each connection gets `ready` again, which names the new epoch and the heads. Until a connection has
 * pulled a room, its cursor there is of the old history: see `stale` in Connection.
 */
import type { Epochs } from './epochs.ts';
import type { Messaging } from '../messaging.ts';
import type { Tails } from './replay-buffer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Arrival } from '../connect/connect.ts';
import type { Local } from '../hub/hub.ts';
import type { Repair } from './anti-entropy.ts';

export interface NewEpochParts {
  readonly epochs: Epochs;
  readonly local: Local;
  readonly repair: Repair;
  readonly tails: Tails;
  readonly messaging: Pick<Messaging, 'forgetHistory'>;
  readonly presence: { restart(): void };
  readonly arrival: Pick<Arrival, 'greet'>;
  readonly log: Log;
}

/** As many as the statement that reads their rooms takes: the next ones wait for its answer. */
const greetedAtOnce = 500;

export function followEpochs(parts: NewEpochParts): void {
  parts.epochs.onChange = () => void adopt(parts);
}

async function adopt(parts: NewEpochParts): Promise<void> {
  const { epochs, local, repair, tails, messaging, presence, log } = parts;
  const { epoch } = epochs;
  messaging.forgetHistory();
  tails.clear();
  local.delivery.forget();
  local.memberships.forget();
  presence.restart();
  const read = repair.restart();
  for (const connection of local.connections.ready()) {
    connection.stale = new Set(local.memberships.roomsOf(connection));
  }
  await read;
  const waiting = [...local.connections.ready()].filter(({ stale }) => stale !== undefined);
  for (let from = 0; from < waiting.length && epoch === epochs.epoch; from += greetedAtOnce) {
    await Promise.all(waiting.slice(from, from + greetedAtOnce).map((one) => greet(parts, one)));
  }
  log.info({ epoch, connections: waiting.length }, 'Every connection of this node has the new epoch.');
}

async function greet({ arrival, log }: NewEpochParts, connection: Parameters<Arrival['greet']>[0]): Promise<void> {
  if (connection.state !== 'ready') return;
  try {
    await arrival.greet(connection);
  } catch (error) {
    // it connects again, and gets the same then
    log.debug({ err: error, session: connection.session }, 'Could not send `ready` again; the connection is closed.');
    connection.close('unavailable', 'unavailable');
  }
}
