import { every } from '../jobs/periodic.ts';
import type { Engine } from '../transport/engineio/engine.ts';
import type { Connection } from './connection.ts';
import type { Hub } from './hub.ts';
import type { Unsent } from './unsent.ts';

const sweepMs = 250;

/** Sweeps the buffers of all connections, as often as one of them may have grown. */
export function sweepBuffers(
  { broadcaster, offRooms, slowConsumers }: Hub,
  engine: Pick<Engine<Connection>, 'all' | 'guard'>,
  unsent: Unsent,
): NodeJS.Timeout {
  let delivered = 0;
  return every(() => {
    // buffers grow only by deliveries, and by answers, which are counted as they are sent
    if (broadcaster.delivered === delivered && !offRooms.anyQuiet && unsent.total === 0) return;
    delivered = broadcaster.delivered;
    engine.guard(() => {
      slowConsumers.sweep(engine.all());
      unsent.sweep(engine.all());
    });
  }, sweepMs);
}
