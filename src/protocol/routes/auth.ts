/** Tokens over REST. The sessions of a user are commands. */
import { z } from 'zod';
import { backendPrefix, instant, userId, userName } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

export const tokenTtl = { most: 86_400, usual: 3600 } as const;

const ttlSeconds = z.int().min(1).max(tokenTtl.most).default(tokenTtl.usual).describe('how long the token is valid');
const madeToken = z.object({
  token: z.string(),
  user: z.object({ id: userId, name: z.string().nullable() }),
  expires: instant,
});

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
      ttlSeconds,
    }),
    output: madeToken,
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
  'auth:walletNonce': {
    about:
      'Makes a nonce for a message by which a wallet signs in (EIP-4361). The nonce is for one domain, one chain, five ' +
      'minutes and one use. With an address the answer has the whole message, which the wallet signs by `personal_sign`. ' +
      'A server on which the sign-in by wallet is off answers `unsupported`.',
    kind: 'write',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'POST', path: '/auth/wallet/nonce', status: 201, sensitive: true, secret: true },
    input: z.object({
      domain: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .describe('the host of the page, with its port if it has one; default: the first domain of the server'),
      chain: z.int().min(1).optional().describe('the number of the chain; default: the first chain of the server'),
      address: z
        .string()
        .regex(/^0x[0-9a-fA-F]{40}$/, 'an address is 0x and 40 hexadecimal digits')
        .optional()
        .describe('the address that signs in, for the whole message'),
    }),
    output: z.object({
      nonce: z.string(),
      domain: z.string(),
      chain: z.int(),
      expires: instant,
      message: z.string().optional().describe('present if the request has an address'),
    }),
    errors: ['unsupported'],
  },
  'auth:wallet': {
    about:
      'Signs in by a message that a wallet has signed (EIP-4361 and EIP-191). The user is the address, with the checksum of ' +
      'EIP-55. Contract wallets (EIP-1271) get `unsupported`.',
    kind: 'write',
    weight: 1,
    scope: null,
    callers: 'anyone',
    http: { method: 'POST', path: '/auth/wallet', status: 201, sensitive: true, secret: true },
    input: z.object({
      message: z.string().min(1).max(8192).describe('the message, character by character as the wallet signed it'),
      signature: z
        .string()
        .max(8192)
        .regex(/^0x(?:[0-9a-fA-F]{2})+$/, 'a signature is 0x and pairs of hexadecimal digits'),
      ttlSeconds,
    }),
    output: madeToken,
    errors: ['unsupported'],
  },
} as const satisfies RouteDeclarations;
