// @ts-check
import { hmac } from 'k6/crypto';
import { b64encode } from 'k6/encoding';

/** @param {unknown} value */
const part = (value) => b64encode(JSON.stringify(value), 'rawurl');

/**
 * A token as a back end of the operator signs it: HS256 with the PARLEY_JWT_SECRET of the server.
 * @param {string} secret
 * @param {{user: string, name?: string, ttlSeconds?: number, issuer?: string, audience?: string}} claims
 * @returns {string}
 */
export function mintToken(secret, { user, name = user, ttlSeconds = 24 * 3600, issuer, audience }) {
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { sub: user, name, iat: seconds, exp: seconds + ttlSeconds, iss: issuer, aud: audience };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${hmac('sha256', secret, text, 'base64rawurl')}`;
}
