/** Signals, which nothing stores. */
import type { Fanout } from '../../fanout/fanout.ts';
import { encodeSignal } from '../../messages/bodies/bodies.ts';
import type { signalCommands } from '../../protocol/commands/signals.ts';
import type { HandlersOf } from '../table.ts';

/** No statement checks a signal: the caller of the handler has to check that the user may write in the room. */
export function signalHandlers(fanout: Fanout): HandlersOf<typeof signalCommands> {
  return {
    signal: ({ user, session }, { room, name, expires, data }) => {
      const { json: payload, attachments } = encodeSignal(data);
      const rest = payload === '' ? '' : `,"data":${payload}`;
      const json =
        `{"room":"${room}","from":"${user.id}","fromName":${JSON.stringify(user.name)},` +
        `"name":${JSON.stringify(name)},"expires":${expires}${rest}}`;
      fanout.publish([{ to: 'room', room, event: 'signal', json, attachments, except: session }]);
      return {};
    },
  };
}
