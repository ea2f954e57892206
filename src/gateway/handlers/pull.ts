/** Pulling rooms: `history` and `sync`, with cursors that may be of another epoch. */
import type { Epochs } from '../../messaging/epochs.ts';
import type { Messaging } from '../../messaging/messaging.ts';
import type { Tails } from '../../messaging/tails.ts';
import type { Connection } from '../connection.ts';
import { Encoded } from '../encoded.ts';
import type { Handlers } from '../handlers.ts';
import type { Local } from '../local.ts';

/** Beyond every head, so that the answer is `reset`. */
const ofAnotherEpoch = Number.MAX_SAFE_INTEGER;
const ofNoEpoch = '00000000-0000-0000-0000-000000000000';

export function createPullHandlers(parts: {
  messaging: Messaging;
  local: Local;
  tails: Tails;
  epochs: Epochs;
}): Pick<Handlers, 'history' | 'sync'> {
  const { messaging, tails, epochs } = parts;
  const { slow, memberships, receiver, mayDeliver } = parts.local;
  /** The epoch under which an answer is read. A client may know a later one than this node; then it is read first. */
  const epochFor = async (given: string | undefined): Promise<string> => {
    if (given !== undefined && given !== epochs.epoch) await epochs.check();
    return epochs.epoch;
  };
  return {
    history: async ({ connection, user }, input) => {
      const epoch = await epochFor(input.epoch);
      // an older page brings nobody up to date
      if (input.before === undefined) slow.pulling(connection, [input.room]);
      // a page from the middle of the old history would look like the present one
      const old = input.epoch === undefined && connection.stale?.has(input.room) === true;
      const { json, rev } = await messaging.history(user.id, old ? { ...input, epoch: ofNoEpoch } : input, epoch);
      receiver.toldHeads(connection, [{ id: input.room, rev }]);
      if (input.before === undefined && input.after === undefined) pulled(connection, [input.room]);
      return new Encoded(json);
    },
    sync: async ({ connection, user }, input) => {
      const epoch = await epochFor(input.epoch);
      const { epoch: given, cursors } = input;
      const { stale } = connection;
      const rooms = Object.keys(cursors);
      // a cursor of 0 holds nothing, so it is of every epoch
      const isVoid = (room: string): boolean =>
        cursors[room] !== 0 && (given === undefined ? stale?.has(room) === true : given !== epoch);
      const voids = stale === undefined && given === undefined ? [] : rooms.filter(isVoid);
      const beyond = Object.fromEntries(voids.map((room) => [room, ofAnotherEpoch]));
      const asked = voids.length === 0 ? input : { ...input, cursors: { ...cursors, ...beyond } };
      slow.pulling(connection, rooms);
      const sees = (room: string): boolean => mayDeliver() && memberships.isIn(connection, room);
      const { json, heads } = await messaging.sync(user.id, asked, tails, sees, epoch);
      receiver.toldHeads(connection, heads);
      pulled(connection, rooms);
      return new Encoded(json);
    },
  };
}

/** The client has these rooms as they stand in the present epoch, or an answer that says `reset`. */
function pulled(connection: Connection, rooms: readonly string[]): void {
  if (connection.stale === undefined) return;
  for (const room of rooms) connection.stale.delete(room);
  if (connection.stale.size === 0) connection.stale = undefined;
}
