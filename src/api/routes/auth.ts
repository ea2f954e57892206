/** Tokens over REST. */
import { ParleyError } from '../../protocol/errors.ts';
import { RestError } from '../../protocol/rest-errors.ts';
import type { authRoutes } from '../../protocol/routes/auth.ts';
import { signToken, type TokenSigning, type TokenVerifier } from '../../sessions/tokens.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Guests } from '../guests.ts';
import { requireRooms } from '../identity.ts';
import type { RouteHandlers } from '../operation.ts';
import type { WalletSignIn } from '../wallet/wallet-sign-in.ts';

export interface AuthParts {
  /** Undefined: the server has no secret, and only checks tokens. */
  readonly signing: TokenSigning | undefined;
  readonly verifier: Pick<TokenVerifier, 'verify'>;
  /** Undefined outside of the embedded demo. */
  readonly guests: Guests | undefined;
  /** Undefined: the operator has not turned it on, or the server has no secret. */
  readonly wallet: WalletSignIn | undefined;
  readonly log: Log;
}

function required(wallet: WalletSignIn | undefined): WalletSignIn {
  if (wallet !== undefined) return wallet;
  throw new RestError('unsupported', 'The sign-in by wallet is off: the server has no PARLEY_WALLET_DOMAINS.');
}

export function authHandlers({ signing, verifier, guests, wallet, log }: AuthParts): RouteHandlers<typeof authRoutes> {
  return {
    'auth:token': async ({ identity, input }) => {
      // a token opens every room of its user
      requireRooms(identity, 'tokens', []);
      if (signing === undefined) {
        const detail = 'This server has no secret: it checks tokens, and another issuer signs them.';
        throw new RestError('unsupported', detail);
      }
      const { user, name, tier, ttlSeconds } = input;
      const token = await signToken(signing, { user, name, tier, ttlSeconds });
      const { expires } = await verifier.verify(token);
      if (identity.kind === 'key') log.info({ key: identity.key.id, user }, 'An API key made a token of a user.');
      return { token, user: { id: user, name: name ?? null }, expires };
    },
    'auth:guest': ({ input, address }) => {
      if (guests === undefined)
        throw new ParleyError('forbidden', 'Guests are off: this server checks tokens of its operator.');
      return guests.create(input.name, address);
    },
    'auth:walletNonce': ({ input }) => required(wallet).nonce(input),
    'auth:wallet': async ({ input: { message, signature, ttlSeconds } }) => {
      const token = await required(wallet).signIn(message, signature, ttlSeconds);
      const { user: id, name, expires } = await verifier.verify(token);
      return { token, user: { id, name }, expires };
    },
  };
}
