/** Keys and claims of tokens, and the origins from which clients connect. */
import { flag, list, number, origin, text, url } from '../values.ts';
import { key, optional, secret } from './key.ts';

export const tokenKeys = {
  jwtSecret: secret('PARLEY_JWT_SECRET', 'HS256 secret, at least 32 bytes.', text(32, 4096)),
  jwtPreviousSecret: secret(
    'PARLEY_JWT_PREVIOUS_SECRET',
    'Former HS256 secret. Parley accepts both secrets during a rotation.',
    text(32, 4096),
  ),
  jwtPublicKey: {
    ...optional('PARLEY_JWT_PUBLIC_KEY', 'PEM public key for RS256, ES256 or EdDSA.', text(32, 16384)),
    lines: true,
  },
  jwksUrl: optional('PARLEY_JWKS_URL', 'URL of the published public keys (JWKS).', url('https:', 'http:')),
  jwtIssuer: optional('PARLEY_JWT_ISSUER', 'Required `iss` of tokens.', text(1, 1024)),
  jwtAudience: optional('PARLEY_JWT_AUDIENCE', 'Required `aud` of tokens.', text(1, 1024)),
  jwtLeewayMs: key(
    'PARLEY_JWT_LEEWAY_MS',
    'Largest difference between the clocks of the issuer and the server, for `iat` and `nbf` of tokens. `exp` has no leeway.',
    number(0, 600_000),
    '60000',
  ),
  tokenInUrl: key(
    'PARLEY_TOKEN_IN_URL',
    'Whether the token may come as `?token=` of the handshake. Proxies and servers write URLs into their logs. Leave the setting off where clients can send `auth` or a header.',
    flag(),
    'off',
  ),
  origins: optional(
    'PARLEY_ORIGINS',
    'Web origins that may connect, separated by commas; `*` for any. Default: the same host by the same scheme; in the embedded demo also every page of this machine. The demo answers to names of this machine, to addresses, and to the hosts of this list.',
    list(origin()),
  ),
} as const;
