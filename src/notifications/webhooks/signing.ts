/** The secrets and the signatures of Standard Webhooks (`v1`: HMAC-SHA256). */
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

const secretBytes = 32;

export function newSecret(): Buffer {
  return randomBytes(secretBytes);
}

/** The form in which receivers keep a secret. */
export function secretText(secret: Buffer): string {
  return `whsec_${secret.toString('base64')}`;
}

/**
 * The headers of one attempt.
 * @param id the same for all attempts, so that a receiver knows a repetition
 * @param secrets each of them signs
 */
export function signedHeaders(
  id: string,
  at: Date,
  body: string,
  secrets: readonly Buffer[],
): Readonly<Record<string, string>> {
  const signatures = secrets.map((secret) => new Webhook(secret, { format: 'raw' }).sign(id, at, body));
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signatures.join(' '),
  };
}
