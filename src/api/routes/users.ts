/** Profiles of users over REST. */
import { ParleyError } from '../../protocol/errors.ts';
import type { HttpRoute, Seen } from '../../protocol/http-route.ts';
import type { Profile, ProfileChange } from '../../protocol/profile.ts';
import { userRoutes } from '../../protocol/routes/users.ts';
import type { Visibility } from '../../presence/visibility.ts';
import type { Profiles } from '../../rooms/profiles.ts';
import { callerOf, type ActingParts, type Identity } from '../identity.ts';
import type { RouteHandlers } from '../operation.ts';

export interface UserParts extends ActingParts {
  readonly profiles: () => Profiles;
  readonly visibility: () => Pick<Visibility, 'of'>;
  /** Gives the connections of this node the new name of their user. */
  readonly rename: (user: string, name: string | null) => void;
}

export function userHandlers(parts: UserParts): RouteHandlers<typeof userRoutes> {
  const change = async (user: string, fields: ProfileChange, seen?: Seen<Profile>): Promise<Profile> => {
    const changed = found(await parts.profiles().change(user, fields, seen));
    if (fields.name !== undefined) parts.rename(user, changed.name);
    return changed;
  };
  const me = async (identity: Identity, route: HttpRoute): Promise<string> =>
    (await callerOf(identity, route, [], parts)).user.id;
  const mayWrite = async (identity: Identity, user: string): Promise<void> => {
    const viewer = await viewerOf(identity, parts);
    if (viewer !== undefined && viewer !== user)
      throw new ParleyError('forbidden', 'You may change your own profile alone.');
  };
  return {
    'user:get': async ({ identity, input: { user } }) => {
      const viewer = await viewerOf(identity, parts);
      if (viewer === undefined || viewer === user) return found(await parts.profiles().read(user));
      const [sight] = await parts.visibility().of([{ viewer, user }]);
      if (sight === undefined || sight === 'none') throw unknownUser();
      const { id, name, avatar } = found(await parts.profiles().read(user));
      return { id, name, avatar };
    },
    'user:put': async ({ identity, seen, input: { user, ...fields } }) => {
      await mayWrite(identity, user);
      const stored = await parts.profiles().replace(user, fields, seen);
      parts.rename(user, stored.name);
      return stored;
    },
    'user:patch': async ({ identity, seen, input: { user, ...fields } }) => {
      await mayWrite(identity, user);
      return change(user, fields, seen);
    },
    'me:get': async ({ identity }) => found(await parts.profiles().read(await me(identity, userRoutes['me:get'].http))),
    'me:patch': async ({ identity, seen, input }) =>
      change(await me(identity, userRoutes['me:patch'].http), input, seen),
  };
}

/** @returns undefined for an API key that names no user: it may read and write every profile. */
async function viewerOf(identity: Identity, parts: ActingParts): Promise<string | undefined> {
  if (identity.kind === 'key' && identity.user === undefined) return undefined;
  return (await callerOf(identity, userRoutes['user:get'].http, [], parts)).user.id;
}

function found(profile: Profile | undefined): Profile {
  if (profile === undefined) throw unknownUser();
  return profile;
}

function unknownUser(): ParleyError {
  return new ParleyError('not_found', 'There is no such user, or you share no room with the user.');
}
