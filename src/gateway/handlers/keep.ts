/** Marks, counts, search, and what is not kept at all: signals. */
import type { Fanout } from '../../fanout/fanout.ts';
import { encodeSignal } from '../../messaging/json-body.ts';
import type { Messaging } from '../../messaging/messaging.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { Encoded } from '../encoded.ts';
import type { Handlers } from '../handlers.ts';
import type { LocalMemberships } from '../local-memberships.ts';
import type { Connection } from '../connection.ts';
import { admitSignal, type SignalLimits } from '../signals.ts';
import type { UserShares } from '../user-shares.ts';

type KeepHandlers = Pick<Handlers, 'delivered' | 'room:receipts' | 'unread' | 'search' | 'signal'>;

export function createKeepHandlers(parts: {
  messaging: Messaging;
  fanout: Fanout;
  memberships: LocalMemberships;
  mayDeliver: () => boolean;
  metrics: Metrics;
  shares: UserShares;
  signalLimits: SignalLimits;
}): KeepHandlers {
  const { messaging, fanout, memberships, mayDeliver, metrics, shares, signalLimits } = parts;
  /** By what this node knows: nothing is stored in the same statement that could ask. */
  const requireHere = (connection: Connection, room: string): void => {
    if (!memberships.isIn(connection, room)) throw new ParleyError('not_member');
    if (!mayDeliver()) throw new ParleyError('unavailable', undefined, { retryAfter: 1000 });
  };
  return {
    delivered: ({ connection, user }, { room, seq }) => {
      requireHere(connection, room);
      if (connection.stale?.has(room) !== true) messaging.readMarks.delivered(user.id, room, seq);
      return {};
    },
    'room:receipts': ({ user }, input) => messaging.receipts(user.id, input),
    unread: ({ user }, input) => messaging.unread(user.id, input),
    search: async ({ user }, input) => new Encoded(await messaging.search(user.id, input)),
    signal: ({ connection, user }, { room, name, expires, data }) => {
      requireHere(connection, room);
      // for ever, or until a mute ends
      if ((user.readsOnly?.get(room) ?? 0) > messaging.now()) throw new ParleyError('forbidden');
      const now = performance.now();
      admitSignal(connection, signalLimits, metrics, now);
      shares.signal(user, now);
      const { json: payload, attachments } = encodeSignal(data);
      const rest = payload === '' ? '' : `,"data":${payload}`;
      const json =
        `{"room":"${room}","from":"${user.id}","fromName":${JSON.stringify(user.name)},` +
        `"name":${JSON.stringify(name)},"expires":${expires}${rest}}`;
      fanout.publish([{ to: 'room', room, event: 'signal', json, attachments, except: connection.session }]);
      return {};
    },
  };
}
