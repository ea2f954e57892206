/** Links by which anybody reads one file for a while. The signature covers the id, the name and the end of the link. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SignedLink {
  readonly url: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

export const filesPrefix = '/files';

export class SignedLinks {
  readonly #key: Buffer;
  readonly #linkMs: number;
  readonly #now: () => number;

  constructor({
    secret,
    linkMs,
    now,
  }: {
    readonly secret: string;
    readonly linkMs: number;
    readonly now: () => number;
  }) {
    // a separate key: the secret may sign other things too
    this.#key = createHmac('sha256', secret).update('parley:files').digest();
    this.#linkMs = linkMs;
    this.#now = now;
  }

  make(id: string, name: string): SignedLink {
    // a link of the same few seconds is the same one, so that browsers find the file in their cache
    const step = Math.max(1000, Math.floor(this.#linkMs / 10));
    const expires = Math.ceil((this.#now() + this.#linkMs) / step) * step;
    const signature = this.#sign(id, name, expires).toString('base64url');
    return {
      url: `${filesPrefix}/${id}/${encodeURIComponent(name)}?expires=${expires}&signature=${signature}`,
      expires,
    };
  }

  /** `forged` also for an end that was changed, because the signature covers the end. */
  check(id: string, name: string, expires: string, signature: string): 'valid' | 'expired' | 'forged' {
    const end = /^\d{1,15}$/.test(expires) ? Number(expires) : 0;
    const given = Buffer.from(signature, 'base64url');
    const right = this.#sign(id, name, end);
    if (given.length !== right.length || !timingSafeEqual(given, right)) return 'forged';
    return end > this.#now() ? 'valid' : 'expired';
  }

  #sign(id: string, name: string, expires: number): Buffer {
    return createHmac('sha256', this.#key).update(`${id}\n${expires}\n${name}`).digest();
  }
}
