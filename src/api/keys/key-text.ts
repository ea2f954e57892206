/**
 * The text of an API key: `pk_<id>_<secret>`. The id names the row, and is no secret. The secret is 256 random bits.
 *
 * Postgres has the SHA-256 of the secret. A slow hash such as scrypt protects passwords, because people choose passwords from
 * a small set. No attacker can try 2^256 secrets, so one fast hash is enough, and a request costs a microsecond.
 */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const idLength = 12;
const secretBytes = 32;
const form = /^pk_([a-z0-9]{12})_([0-9a-f]{64})$/;

/** The parts of the text that a caller presents. */
export interface Presented {
  readonly id: string;
  readonly hash: Buffer;
}

export function newKeyId(): string {
  return Array.from({ length: idLength }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/** Hexadecimal digits survive every shell, header and double click. */
export function newSecret(): string {
  return randomBytes(secretBytes).toString('hex');
}

export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

export function keyText(id: string, secret: string): string {
  return `pk_${id}_${secret}`;
}

/** @returns undefined for a text of another form. */
export function readKeyText(text: string): Presented | undefined {
  const [, id = '', secret = ''] = form.exec(text) ?? [];
  return id === '' ? undefined : { id, hash: hashOf(secret) };
}

/** In constant time. */
export function isSameHash(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

/** A hash that no secret has: 256 bits of this process, which stand for a secret that does not exist. */
export const noHash = randomBytes(32);
