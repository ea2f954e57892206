/**
 * Nonces of sign-in by wallet: each is for one domain and one chain, for five minutes and for one use. A nonce carries its end
 * and a signature of the server, so that nonces that nobody uses cost no storage. The database remembers the used ones.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { postgres } from '../../storage/sql.ts';

export interface NonceUse {
  readonly domain: string;
  readonly chain: number;
}

export const nonceMs = 300_000;
/** Bytes: what makes it unique, its end in seconds, its signature. */
const [randomLength, endLength, signatureLength] = [8, 4, 16];

export class WalletNonces {
  readonly #sql: postgres.Sql;
  readonly #key: Buffer;
  readonly #now: () => number;

  /** @param secret with which the server signs its tokens; all nodes have the same */
  constructor({ sql, secret, now = Date.now }: { sql: postgres.Sql; secret: string; now?: () => number }) {
    this.#sql = sql;
    this.#key = createHmac('sha256', secret).update('nonces of wallets').digest();
    this.#now = now;
  }

  /** @returns letters and digits, as the standard wants, and its end in milliseconds since 1970 */
  create(use: NonceUse): { readonly nonce: string; readonly expires: number } {
    const end = Math.floor((this.#now() + nonceMs) / 1000);
    const body = Buffer.concat([randomBytes(randomLength), Buffer.alloc(endLength)]);
    body.writeUInt32BE(end, randomLength);
    return { nonce: Buffer.concat([body, this.#sign(body, use)]).toString('hex'), expires: end * 1000 };
  }

  /** Whether this server made the nonce for that use, and its time has not passed. */
  isValid(nonce: string, use: NonceUse): boolean {
    const bytes = Buffer.from(nonce, 'hex');
    if (bytes.length !== randomLength + endLength + signatureLength) return false;
    const body = bytes.subarray(0, randomLength + endLength);
    if (!timingSafeEqual(bytes.subarray(body.length), this.#sign(body, use))) return false;
    return body.readUInt32BE(randomLength) * 1000 > this.#now();
  }

  /** Uses the nonce, on every node. @returns false if it was used before */
  async spend(nonce: string): Promise<boolean> {
    const ends = new Date(Buffer.from(nonce, 'hex').readUInt32BE(randomLength) * 1000);
    // A minute more than its end: the clocks of nodes differ.
    const [row] = await this.#sql<{ spent: boolean }[]>`
      with old as (
        delete from wallet_nonces where nonce in (
          select nonce from wallet_nonces where ends_at < clock_timestamp() - interval '1 minute'
          order by ends_at limit 10 for update skip locked)
      ), spent as (
        insert into wallet_nonces (nonce, ends_at) values (${nonce.toLowerCase()}, ${ends})
        on conflict do nothing returning 1
      )
      select exists (select from spent) as spent`;
    return row?.spent === true;
  }

  #sign(body: Uint8Array, { domain, chain }: NonceUse): Buffer {
    return createHmac('sha256', this.#key)
      .update(body)
      .update(`${chain} ${domain}`)
      .digest()
      .subarray(0, signatureLength);
  }
}
