/** The key with which a server identifies itself to push services (VAPID, RFC 8292). */
import { createECDH } from 'node:crypto';

export interface VapidKeys {
  /** Both as base64url. Browsers subscribe with the public one. */
  readonly publicKey: string;
  readonly privateKey: string;
}

const curve = 'prime256v1';

/** @returns undefined: the text is no private key of P-256, 32 bytes as base64url */
export function vapidKeys(privateKey: string): VapidKeys | undefined {
  const bytes = Buffer.from(privateKey, 'base64url');
  if (bytes.byteLength !== 32 || bytes.toString('base64url') !== privateKey) return undefined;
  const key = createECDH(curve);
  try {
    key.setPrivateKey(bytes);
  } catch {
    return undefined;
  }
  return { publicKey: key.getPublicKey('base64url'), privateKey };
}

export function newVapidKeys(): VapidKeys {
  const key = createECDH(curve);
  key.generateKeys();
  // a key may begin with bytes of zero, which the curve leaves out
  const privateKey = Buffer.concat([Buffer.alloc(32), key.getPrivateKey()])
    .subarray(-32)
    .toString('base64url');
  return { publicKey: key.getPublicKey('base64url'), privateKey };
}
