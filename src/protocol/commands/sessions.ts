/** The sessions of a user, and the token of a connection. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { instant, session } from '../model.ts';

export const sessionCommands = {
  'session:list': {
    about:
      'Your live connections on all nodes, the oldest first. Not `complete`: a node did not answer within a second, or ' +
      'there are more than are listed.',
    kind: 'read',
    // asks every node
    weight: 10,
    scope: 'tokens',
    http: { method: 'GET', path: '/auth/sessions', sensitive: true },
    answer: 'list',
    input: z.object({}),
    output: z.object({ sessions: z.array(session), complete: z.boolean() }),
    errors: [],
  },
  'session:revoke': {
    about:
      'Takes back the token of one of your connections. With `all` the command takes back every token of yours that ' +
      'was issued until now, except the one of this connection. A revoked token is refused from now on, on every ' +
      'node, and its connections are closed with `session:revoked`; connections that share a token go together. A ' +
      'token without `iat` counts as issued before any moment; `iat` has whole seconds, so a token of this very ' +
      'second is taken back too. A session loses only its present token: one that `auth:refresh` replaced is good ' +
      'until it expires, or until `all`. `all` also removes your devices, which get no further push until they register again.',
    kind: 'write',
    weight: 10,
    scope: 'tokens',
    http: [
      { method: 'DELETE', path: '/auth/sessions/{session}', without: ['all'], sensitive: true },
      { method: 'DELETE', path: '/auth/sessions', fixed: { all: true }, without: ['session'], sensitive: true },
    ],
    input: z.union([
      z.object({ session: z.string().regex(/^[A-Za-z0-9_~-]{1,64}$/, 'the id of a session') }),
      z.object({ all: z.literal(true) }),
    ]),
    output: z.object({}),
    errors: ['not_found', 'unauthorized'],
  },
  'auth:refresh': {
    about: 'Replaces the token of this connection before it expires. The new token must be of the same user.',
    kind: 'read',
    weight: 1,
    scope: 'tokens',
    http: 'connection',
    input: z.object({ token: z.string().min(1).max(8192) }),
    output: z.object({ expires: instant }),
    errors: ['unauthorized', 'token_expired', 'forbidden'],
  },
} as const satisfies Declarations;
