/** The state of one room in the resequencer, which describes the states. */
import type { ClockTimer } from '../jobs/clock.ts';
import type { Repair } from '../telemetry/metrics.ts';
import type { HeldOfRoom } from './held-events.ts';

export interface RoomState {
  /** The rev up to which events were delivered. */
  delivered: number;
  /** Events up to this rev were not delivered in order here: a client with a lower head has missed some. */
  start: number;
  /** A client has got a head, and expects every event after it. */
  headGiven: boolean;
  /** The highest head that a client has got. */
  highestHead: number;
  gap: Gap | undefined;
}

export interface Gap {
  readonly reason: Repair;
  /** The furthest rev that is known to exist. */
  wanted: number;
  /** Each event is after the next rev. */
  readonly held: HeldOfRoom;
  reading: boolean;
  failures: number;
  /** Waits for overtaken events, or for the next read. */
  timer: ClockTimer | undefined;
}

/** A read of a gap that is under way. */
export interface Fill {
  readonly room: string;
  /** Events after this rev are wanted. */
  readonly from: number;
  readonly wanted: number;
  readonly gap: Gap;
  readonly state: RoomState;
}

export const unknown = -1;
export const blank = (): RoomState => ({
  delivered: unknown,
  start: unknown,
  headGiven: false,
  highestHead: unknown,
  gap: undefined,
});
