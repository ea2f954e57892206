/** Profiles of users over REST. */
import { z } from 'zod';
import { userId } from '../model.ts';
import { profile, profileChange, wholeProfile } from '../profile.ts';
import type { RouteDeclarations } from '../route-schema.ts';

const aUser = z.object({ user: userId });
const common = { scope: 'users', callers: 'caller', output: profile } as const;

export const userRoutes = {
  'user:get': {
    ...common,
    about:
      'The profile of a user. You see yourself in full, and the name and the avatar of users with whom you share a ' +
      'room. You do not see users whom you have blocked. An API key that names no user sees every user in full.',
    kind: 'read',
    weight: 1,
    http: { method: 'GET', path: '/users/{user}' },
    input: aUser,
    errors: ['not_found'],
  },
  'user:put': {
    ...common,
    about:
      'Replaces the profile of a user, and stores a user that is new. A field that is left out is cleared. You may ' +
      'replace your own profile; an API key that names no user may replace every profile.',
    kind: 'write',
    weight: 2,
    http: { method: 'PUT', path: '/users/{user}', ifMatch: 'user:get' },
    input: wholeProfile.extend(aUser.shape),
    errors: [],
  },
  'user:patch': {
    ...common,
    about:
      'Changes fields of the profile of a user; null clears a field. You may change your own profile; an API key that ' +
      'names no user may change every profile.',
    kind: 'write',
    weight: 2,
    http: { method: 'PATCH', path: '/users/{user}', ifMatch: 'user:get' },
    input: profileChange.extend(aUser.shape),
    errors: ['not_found'],
  },
  'me:get': {
    ...common,
    about: 'Your own profile in full. An API key names the user in `Parley-User`.',
    kind: 'read',
    weight: 1,
    callers: 'user',
    http: { method: 'GET', path: '/me' },
    input: z.object({}),
    errors: ['not_found'],
  },
  'me:patch': {
    ...common,
    about:
      'Changes fields of your own profile; null clears a field. A name that you set counts until you use a token that ' +
      'was issued later and carries another name.',
    kind: 'write',
    weight: 2,
    callers: 'user',
    http: { method: 'PATCH', path: '/me', ifMatch: 'me:get' },
    input: profileChange,
    errors: ['not_found'],
  },
} as const satisfies RouteDeclarations;
