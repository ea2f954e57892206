/** The state of an open room, as an application shows it, and the services that a room takes from its client. */
import type { ParleyError } from '../protocol/errors.ts';
import type { Member, Message } from '../protocol/model.ts';
import type { Archive } from './archive.ts';
import type { CatchUp } from './catch-up.ts';
import type { Outbox, Outgoing } from './outbox.ts';
import type { Presence } from './presence.ts';
import type { RequestFunction } from './request.ts';

export interface RoomState {
  /** `ready`: there is something to show, with or without a connection. `closed`: the room is not updated any more. */
  readonly status: 'loading' | 'ready' | 'gone' | 'closed';
  /** The reason for `gone`. */
  readonly error?: ParleyError;
  /** A run without a gap, by seq, up to the newest. */
  readonly messages: readonly Message[];
  /** This user's messages that are not among `messages` yet, in the order of writing. */
  readonly outgoing: readonly Outgoing[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  /** The ids of other users that are typing. */
  readonly typing: readonly string[];
}

export interface RoomServices {
  readonly request: RequestFunction;
  /** Like `request`, but waits for the connection. */
  readonly call: RequestFunction;
  readonly outbox: Outbox;
  readonly catchUp: CatchUp;
  readonly archive: Archive;
  readonly presence: Presence;
  readonly members: () => Promise<readonly Member[]>;
  /** The epoch of the server. */
  readonly epoch: () => string | undefined;
  /** The read mark moved on this device; the room list shows that at once. */
  readonly onRead: (room: string, seq: number) => void;
  /** Stored messages came; the list shows the newest one. */
  readonly onStored: (messages: readonly Message[]) => void;
}

export const blankRoom: RoomState = {
  status: 'loading',
  messages: [],
  outgoing: [],
  hasOlder: false,
  loadingOlder: false,
  typing: [],
};
