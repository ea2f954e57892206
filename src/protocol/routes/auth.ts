/** Tokens over REST. The sessions of a user are commands. */
import { z } from 'zod';
import { backendPrefix, instant, userId, userName } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

export const tokenTtl = { most: 86_400, usual: 3600 } as const;

export const authRoutes = {
  'auth:token': {
    about:
      'Makes a token of a user, for the `auth` of a socket or the `Authorization` of a request. The server signs the ' +
      'token with its first secret (HS256). A server that only checks tokens of another issuer answers `unsupported`.',
    kind: 'write',
    weight: 5,
    scope: 'tokens',
    callers: 'key',
    http: { method: 'POST', path: '/auth/token', status: 201, sensitive: true, secret: true },
    input: z.object({
      user: userId.refine(
        (id) => !id.startsWith(backendPrefix),
        `ids that begin with ${backendPrefix} are of back ends, which have API keys`,
      ),
      name: userName.optional().describe('the display name that the token carries'),
      tier: z
        .string()
        .regex(/^[A-Za-z0-9_.-]{1,32}$/, 'a tier is 1 to 32 of A-Z a-z 0-9 _ . -')
        .optional()
        .describe('the tier of the user, which decides about rates'),
      ttlSeconds: z.int().min(1).max(tokenTtl.most).default(tokenTtl.usual).describe('how long the token is valid'),
    }),
    output: z.object({
      token: z.string(),
      user: z.object({ id: userId, name: z.string().nullable() }),
      expires: instant,
    }),
    errors: ['unsupported'],
  },
  'auth:guest': {
    about: 'Makes a token of a new guest. The embedded demo alone has guests; other servers answer `forbidden`.',
    kind: 'write',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'POST', path: '/auth/guest' },
    ownRate: true,
    lenient: true,
    input: z.object({ name: userName }),
    output: z.object({ token: z.string(), user: z.object({ id: userId, name: z.string() }) }),
    errors: [],
  },
} as const satisfies RouteDeclarations;
