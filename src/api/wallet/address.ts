/** Addresses of Ethereum, and the address whose key made a signature (EIP-55 and EIP-191). */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';

/** The address in the one spelling of EIP-55: the hash of the address decides which letters are capitals. */
export function checksummed(address: string): string {
  const digits = address.slice(2).toLowerCase();
  const hash = Buffer.from(keccak_256(Buffer.from(digits))).toString('hex');
  const cased = Array.from(digits, (digit, n) =>
    Number.parseInt(hash.charAt(n), 16) >= 8 ? digit.toUpperCase() : digit,
  );
  return `0x${cased.join('')}`;
}

/**
 * The address of the key that signed the text with `personal_sign`.
 * @param signature 65 bytes in hexadecimal: r, s and the bit of recovery
 * @returns undefined if no key made the signature
 */
export function signerOf(text: string, signature: string): string | undefined {
  const bytes = Buffer.from(signature.slice(2), 'hex');
  // wallets write 27 or 28, and some hardware wallets 0 or 1
  const recovery = (bytes[64] ?? 0) % 27;
  if (bytes.length !== 65 || recovery > 1) return undefined;
  const content = Buffer.from(text);
  const hash = keccak_256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${content.length}`), content]));
  try {
    const recovered = secp256k1.Signature.fromBytes(
      Buffer.concat([Buffer.of(recovery), bytes.subarray(0, 64)]),
      'recovered',
    );
    // the other half of the values of s would give each signature a twin
    if (recovered.hasHighS()) return undefined;
    const point = recovered.recoverPublicKey(hash).toBytes(false);
    return checksummed(
      `0x${Buffer.from(keccak_256(point.subarray(1)))
        .toString('hex')
        .slice(-40)}`,
    );
  } catch {
    // the library throws for numbers that are no point of the curve: nobody signed
    return undefined;
  }
}
