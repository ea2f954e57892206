import { signToken } from '../../src/auth/tokens.ts';

/** What servers of tests are configured with; the embedded demo has one of its own. */
export const testSecret = 'a secret of the tests, long enough for HS256';

export interface TokenOptions {
  readonly name?: string;
  readonly tier?: string;
  readonly ttlSeconds?: number;
}

export function tokenOf(user: string, { ttlSeconds = 3600, ...claims }: TokenOptions = {}): Promise<string> {
  return signToken(testSecret, { user, ttlSeconds, ...claims });
}
