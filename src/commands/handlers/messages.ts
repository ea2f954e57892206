/** Messages, their reactions, pins and mentions. */
import type { UserRates } from '../../rates/user-rates.ts';
import type { Messaging } from '../../messaging.ts';
import type { messageCommands } from '../../protocol/commands/messages.ts';
import type { Seen } from '../../protocol/http-route.ts';
import type { HandlersOf } from '../table.ts';
import { Encoded } from '../encoded.ts';

export function messageHandlers(messaging: Messaging, rates: UserRates): HandlersOf<typeof messageCommands> {
  const { writer, changes, readMarks, bodies, pins } = messaging;
  return {
    'message:send': ({ user, tier }, { room, id, body, replyTo, lane }) => {
      const { json, mentions, files } = bodies.read(body);
      const send = { room, id, sender: user.id, senderName: user.name, body: json, replyTo, lane, mentions };
      const store = () =>
        files === undefined
          ? writer.send(send)
          : messaging.files.attach(user.id, { room, message: id }, files, () => writer.send(send));
      const paced = rates.sends.spend(user.id, tier);
      const sent = paced === undefined ? store() : paced.then(store);
      // a user that sends has read the messages before
      return sent.then((stored) => {
        readMarks.sent(user.id, room, stored.seq);
        const { seq, rev, at, duplicate } = stored;
        return duplicate === undefined ? stored : { seq, rev, at };
      });
    },
    'message:get': async ({ user }, input) => new Encoded(await messaging.message(user.id, input)),
    'message:edit': async ({ user, tier }, { room, seq, body }, seen) => {
      await rates.sends.spend(user.id, tier);
      const { json, mentions, files } = bodies.read(body);
      const edit = () =>
        changes.make({ kind: 'edit', room, seq, user: user.id, seenRev: revOf(seen), body: json, mentions });
      const { rev, at } = await (files === undefined
        ? edit()
        : messaging.files.attachTo(user.id, { room, seq }, files, edit));
      return { seq, rev, at };
    },
    'message:delete': async ({ user }, { room, seq }, seen) => {
      const { rev } = await changes.make({ kind: 'delete', room, seq, user: user.id, seenRev: revOf(seen) });
      return { seq, rev };
    },
    'message:versions': async ({ user }, input) => new Encoded(await messaging.versions(user.id, input)),
    'reaction:add': async ({ user, tier }, { room, seq, emoji }) => {
      await rates.sends.spend(user.id, tier);
      const { rev, count } = await changes.make({ kind: 'add', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    'reaction:remove': async ({ user }, { room, seq, emoji }) => {
      const { rev, count } = await changes.make({ kind: 'remove', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    'message:pin': ({ user }, { room, seq }) => pins.make({ room, seq, user: user.id, change: 'add' }),
    'message:unpin': ({ user }, { room, seq }) => pins.make({ room, seq, user: user.id, change: 'remove' }),
    'room:pins': async ({ user }, { room }) => new Encoded(await messaging.pinned(user.id, room)),
    mentions: async ({ user }, input) => new Encoded(await messaging.mentions(user.id, input)),
  };
}

function revOf(seen: Seen<{ readonly message: { readonly rev: number } }> | undefined): number | undefined {
  return seen === undefined || seen === 'any' ? undefined : seen.message.rev;
}
