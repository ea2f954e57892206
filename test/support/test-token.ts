import { SignJWT } from 'jose';
import { signToken } from '../../src/sessions/tokens.ts';

/** The secret of servers in tests. The embedded demo has another one. */
export const testSecret = 'a secret of the tests, long enough for HS256';

export interface TokenOptions {
  readonly name?: string;
  readonly tier?: string;
  readonly backend?: boolean;
  readonly ttlSeconds?: number;
}

export function tokenOf(user: string, { ttlSeconds = 3600, ...claims }: TokenOptions = {}): Promise<string> {
  return signToken(testSecret, { user, ttlSeconds, ...claims });
}

/** A token that says nothing of when it was signed: for a node whose clock is wrong. */
export function undatedTokenOf(user: string): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setExpirationTime(Math.floor(Date.now() / 1000) + 7200)
    .sign(new TextEncoder().encode(testSecret));
}
