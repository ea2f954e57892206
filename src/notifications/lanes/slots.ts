import { lanes, type Lane } from '../../protocol/lanes.ts';

export type ByLane<T> = Readonly<Record<Lane, T>>;

/** @returns a record of the lanes, with the value of each */
export function byLane<T>(value: (lane: Lane, index: number) => T): Record<Lane, T> {
  return Object.fromEntries(lanes.map((lane, index) => [lane, value(lane, index)])) as Record<Lane, T>;
}

/**
 * The jobs that each lane may run at once. The own slots of a lane are always open to the lane. Slots that are idle in a
 * lane go to the next lane below, with the idle slots that the lane itself got from above. So urgent jobs never wait for a
 * borrowed slot. The jobs of a process exceed the sum of the slots only until borrowed slots return.
 */
export function shareSlots(slots: ByLane<number>, running: ByLane<number>): Record<Lane, number> {
  let idle = 0;
  return byLane((lane) => {
    const open = slots[lane] + idle;
    idle = Math.max(0, open - running[lane]);
    return open;
  });
}
