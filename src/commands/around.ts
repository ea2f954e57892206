/**
 * Steps before and after the handlers, which need the connection of the command. They concern the heads that were sent to
 * the connection, its subscriptions, its limits for signals, and its rooms of an earlier epoch. A command without a
 * connection runs its handler without these steps. `signal` is the exception, see its handler.
 */
import type { Commands } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { RoomSummary } from '../protocol/model.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from '../hub/connection.ts';
import { Encoded, type NamedHead } from './encoded.ts';
import type { Hub } from '../hub/hub.ts';
import { beyondEveryHead, ofNoEpoch } from './old-history.ts';
import { admitSignal, type SignalLimits } from './signals.ts';
import type { UserShares } from './user-shares.ts';
import type { ConnectionCommandName } from './connection-commands.ts';
import type { AroundOf } from './table.ts';

export interface AroundParts {
  readonly hub: Hub;
  readonly shares: UserShares;
  readonly signalLimits: SignalLimits;
  /** The time of the database, in milliseconds since 1970. */
  readonly now: () => number;
  readonly metrics: Metrics;
}

type NamesRooms = Encoded | { readonly room: RoomSummary } | { readonly rooms: readonly RoomSummary[] };

export function commandsAround(parts: AroundParts): AroundOf<Omit<Commands, ConnectionCommandName>> {
  const { hub, shares, signalLimits, now, metrics } = parts;
  const { slowConsumers, subscriptions, interest, receiver, lease } = hub;
  /** Checks the membership in the memory of this node, without a statement. */
  const requireHere = (connection: Connection, room: string): void => {
    if (!subscriptions.isIn(connection, room)) throw new ParleyError('not_member');
    if (!lease.held) throw new ParleyError('unavailable', undefined, { retryAfter: 1000 });
  };
  const noteHeads = (connection: Connection, _input: unknown, answer: NamesRooms): void =>
    receiver.noteHeads(connection, headsOf(answer));
  const naming = { after: noteHeads };
  /** The ack of an entry waits until the events of the room reach this node. */
  const entering = {
    after: async (connection: Connection, input: unknown, answer: NamesRooms): Promise<void> => {
      await interest.reached(connection);
      noteHeads(connection, input, answer);
    },
  };
  return {
    history: {
      before: (connection, _user, input) => {
        // an older page does not end a lag
        if (input.before === undefined) slowConsumers.pulling(connection, [input.room]);
        // a page from the middle of the old history would look like the present one
        const old = input.epoch === undefined && connection.oldEpochRooms?.has(input.room) === true;
        return old ? { ...input, epoch: ofNoEpoch } : input;
      },
      after: (connection, input, answer) => {
        noteHeads(connection, input, answer as Encoded);
        if (input.before === undefined && input.after === undefined) pulled(connection, [input.room]);
      },
    },
    sync: {
      before: (connection, _user, input) => {
        const { oldEpochRooms } = connection;
        const { cursors } = input;
        const rooms = Object.keys(cursors);
        slowConsumers.pulling(connection, rooms);
        if (oldEpochRooms === undefined || input.epoch !== undefined) return input;
        // a cursor of 0 holds nothing, so it is of every epoch
        const voids = rooms.filter((room) => cursors[room] !== 0 && oldEpochRooms.has(room));
        return voids.length === 0 ? input : { ...input, cursors: beyondEveryHead(cursors, voids) };
      },
      after: (connection, input, answer) => {
        noteHeads(connection, input, answer as Encoded);
        pulled(connection, Object.keys(input.cursors));
      },
    },
    delivered: {
      before: (connection, _user, input) => {
        requireHere(connection, input.room);
        return input;
      },
    },
    signal: {
      before: (connection, user, input) => {
        requireHere(connection, input.room);
        // as a guest, or until a mute ends
        if ((user.readsOnly?.get(input.room) ?? 0) > now()) throw new ParleyError('forbidden');
        const at = performance.now();
        admitSignal(connection, signalLimits, metrics, at);
        shares.signal(user, at);
        return input;
      },
    },
    'room:create': entering,
    'room:join': entering,
    'invitation:accept': entering,
    'link:join': entering,
    'room:get': naming,
    'room:list': naming,
    'room:search': naming,
    'room:update': naming,
    'room:archive': naming,
    'room:unarchive': naming,
  };
}

function headsOf(answer: NamesRooms): readonly NamedHead[] {
  if (answer instanceof Encoded) return answer.heads;
  return 'room' in answer ? [answer.room] : answer.rooms;
}

/** The client now has the state of these rooms in the present epoch, or an answer with `reset`. */
function pulled(connection: Connection, rooms: readonly string[]): void {
  if (connection.oldEpochRooms === undefined) return;
  for (const room of rooms) connection.oldEpochRooms.delete(room);
  if (connection.oldEpochRooms.size === 0) connection.oldEpochRooms = undefined;
}
