/** Pushes to devices. */
import { vapidKeys } from '../../notifications/push/vapid.ts';
import { number, type Parser } from '../values.ts';
import { key, secret } from './key.ts';

function privateKey(): Parser<string> {
  return (source) =>
    vapidKeys(source) === undefined
      ? { ok: false, expected: 'a private key of P-256 as base64url, such as `parley vapid` prints' }
      : { ok: true, value: source };
}

function subject(): Parser<string> {
  return (source) =>
    /^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/.test(source)
      ? { ok: true, value: source }
      : { ok: false, expected: '`mailto:` with an address, or a URL that begins with https://' };
}

export const pushKeys = {
  vapidPrivateKey: secret(
    'PARLEY_VAPID_PRIVATE_KEY',
    'Key that identifies the server to push services of browsers, the same on all nodes; `parley vapid` prints one. Unset: no web pushes. In the embedded demo the data folder keeps one. With another key every browser must register again.',
    privateKey(),
  ),
  vapidSubject: key(
    'PARLEY_VAPID_SUBJECT',
    'Where push services write to the operator about trouble: `mailto:` with an address, or an https URL.',
    subject(),
    'mailto:parley@example.com',
  ),
  maxDevicesPerUser: key('PARLEY_MAX_DEVICES_PER_USER', 'Devices of one user that get pushes.', number(1, 1000), '20'),
  pushTtlMs: key(
    'PARLEY_PUSH_TTL_MS',
    'How long after its message a push is of use. An older one is dropped, also by the push service.',
    number(1000, 28 * 86_400_000),
    '86400000',
  ),
  pushRetryMs: key(
    'PARLEY_PUSH_RETRY_MS',
    'Longest pause before the second attempt of a push. Each further one may wait twice as long, up to an hour.',
    number(10, 3_600_000),
    '5000',
  ),
  pushGiveUpMs: key(
    'PARLEY_PUSH_GIVE_UP_MS',
    'A push that has failed for so long is dead.',
    number(100, 7 * 86_400_000),
    '86400000',
  ),
} as const;
