/** Invitations and join links. */
import type { UserRates } from '../../rates/user-rates.ts';
import type { Messaging } from '../../messaging.ts';
import type { invitationCommands } from '../../protocol/commands/invitations.ts';
import type { HandlersOf } from '../table.ts';
import { done } from './rooms.ts';

export function invitationHandlers(messaging: Messaging, rates: UserRates): HandlersOf<typeof invitationCommands> {
  const { invitations, links } = messaging;
  return {
    'invitation:create': async ({ user }, input) => {
      await rates.invitations.spend(user.id);
      return invitations.create(user.id, input);
    },
    'invitation:list': ({ user }, input) => messaging.reading(user.id, () => invitations.list(user.id, input)),
    'invitation:accept': async ({ user }, { room }) => {
      await rates.joins.spend(user.id);
      return invitations.accept(user.id, room);
    },
    'invitation:decline': ({ user }, { room }) => done(invitations.decline(user.id, room)),
    'invitation:cancel': ({ user }, input) => done(invitations.cancel(user.id, input)),
    'link:create': ({ user }, input) => links.create(user.id, input),
    'link:list': ({ user }, input) => messaging.reading(user.id, () => links.list(user.id, input)),
    'link:revoke': ({ user }, input) => done(links.revoke(user.id, input)),
    'link:join': async ({ user }, { token }) => {
      await rates.joins.spend(user.id);
      return links.join(user.id, token);
    },
  };
}
