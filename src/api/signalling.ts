/** Signals of back ends: each goes over fan-out to all nodes, and nothing stores it. */
import type { z } from 'zod';
import type { ConnectionEvent, Fanout, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import { encodeSignal } from '../messages/bodies/bodies.ts';
import { ParleyError } from '../protocol/errors.ts';
import { backendPrefix } from '../protocol/model.ts';
import { outcomeError, type OutcomeError } from '../protocol/rest-errors.ts';
import type { publishRoutes } from '../protocol/routes/publish.ts';
import type { KeyRights } from './identity.ts';

type Signal = z.output<(typeof publishRoutes)['signals']['input']>['signals'][number];
type SignalEvent = RoomEvent | UserEvent | ConnectionEvent;

/** The user that a key acts for, or the key itself. */
export interface SignalSender {
  readonly key: Pick<KeyRights, 'id' | 'everyRoom' | 'mayUseRoom'>;
  readonly user: { readonly id: string; readonly name: string | null } | undefined;
}

export type Signalled = object | { readonly error: OutcomeError };

export function sendSignals(
  fanout: Pick<Fanout, 'publish'>,
  sender: SignalSender,
  signals: readonly Signal[],
): Signalled[] {
  const events: (RoomEvent | UserEvent)[] = [];
  // in a message of their own: a node of an earlier release drops the whole message
  const toConnections: ConnectionEvent[] = [];
  const results = signals.map((signal): Signalled => {
    try {
      const event = eventOf(sender, signal);
      if (event.to === 'connection') toConnections.push(event);
      else events.push(event);
      return {};
    } catch (error) {
      if (error instanceof ParleyError) return { error: outcomeError(error) };
      throw error;
    }
  });
  fanout.publish(events);
  fanout.publish(toConnections);
  return results;
}

/** @throws {ParleyError} `forbidden`, `invalid`, `too_large` */
function eventOf({ key, user }: SignalSender, { to, name, expires, data }: Signal): SignalEvent {
  const { id: from, name: fromName } = user ?? { id: `${backendPrefix}${key.id}`, name: null };
  const { json: payload } = encodeSignal(data);
  const rest = payload === '' ? '' : `,"data":${payload}`;
  const fields =
    `"from":${JSON.stringify(from)},"fromName":${JSON.stringify(fromName)},` +
    `"name":${JSON.stringify(name)},"expires":${expires}${rest}`;
  if ('room' in to) {
    const { room } = to;
    if (!key.mayUseRoom(room)) throw new ParleyError('forbidden', `The API key may not use the room ${room}.`);
    return { to: 'room', room, event: 'signal', json: `{"room":"${room}",${fields}}` };
  }
  if (!key.everyRoom) {
    throw new ParleyError('forbidden', 'The API key is limited to some rooms: it may not signal users or connections.');
  }
  const json = `{${fields}}`;
  return 'user' in to
    ? { to: 'user', user: to.user, event: 'signal:direct', json }
    : { to: 'connection', connection: to.connection, event: 'signal:direct', json };
}
