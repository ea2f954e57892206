import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  hashOf,
  isSameHash,
  keyText,
  newKeyId,
  newSecret,
  noHash,
  readKeyText,
} from '../../../src/api/keys/key-text.ts';

it('a key is read back, with the SHA-256 of its secret', () => {
  const [id, secret] = [newKeyId(), newSecret()];
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(readKeyText(keyText(id, secret))).toEqual({ id, hash: createHash('sha256').update(secret).digest() });
});

it('ids and secrets do not repeat', () => {
  const made = Array.from({ length: 1000 }, () => [newKeyId(), newSecret()]);
  expect(new Set(made.flat()).size).toBe(2000);
});

const [id, secret] = ['abcdefghij01', 'f'.repeat(64)];
it.each([
  '',
  'pk_',
  'pk__',
  `pk_${id}_`,
  `pk_${id}`,
  `pk_${id}_${secret} `,
  ` pk_${id}_${secret}`,
  `pk_${id}_${secret}\n`,
  `pk_${id}_${secret}0`,
  `pk_${id}_${secret.slice(1)}`,
  `pk_${id}_${secret.toUpperCase()}`,
  `pk_${id.toUpperCase()}_${secret}`,
  `PK_${id}_${secret}`,
  `pk_${id.slice(1)}_${secret}`,
  `pk_${id}__${secret}`,
  `Bearer pk_${id}_${secret}`,
  'x'.repeat(1_000_000),
])('the text %.80j is no key', (text) => {
  expect(readKeyText(text)).toBeUndefined();
});

it('hashes are the same or not, whatever their lengths', () => {
  expect(isSameHash(hashOf('a'), hashOf('a'))).toBe(true);
  expect(isSameHash(hashOf('a'), hashOf('b'))).toBe(false);
  expect(isSameHash(hashOf('a'), Buffer.alloc(0))).toBe(false);
  expect(isSameHash(hashOf('a'), noHash)).toBe(false);
});
