/** Sign-in by wallet: a client that signs the server's nonce with the key of an address gets a token of that user. */
import { ParleyError } from '../../protocol/errors.ts';
import { RestError } from '../../protocol/rest-errors.ts';
import { signToken, type TokenSigning } from '../../sessions/tokens.ts';
import { checksummed, signerOf } from './address.ts';
import type { WalletNonces } from './nonces.ts';
import { readSignInMessage, writeSignInMessage, type SignInMessage } from './sign-in-message.ts';

export interface WalletSettings {
  /** Hosts, and ports where there are, of the pages on which users sign in. Empty: the sign-in is off. */
  readonly walletDomains: readonly string[];
  /** Numbers of chains, such as 1 for the main network. */
  readonly walletChains: readonly number[];
}

export interface WalletParts extends WalletSettings {
  readonly nonces: WalletNonces;
  readonly signing: TokenSigning;
  readonly now?: () => number;
}

export interface NonceInput {
  readonly domain?: string | undefined;
  readonly chain?: number | undefined;
  readonly address?: string | undefined;
}

export class WalletSignIn {
  readonly #parts: WalletParts;
  readonly #now: () => number;

  constructor(parts: WalletParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
  }

  /** @throws {ParleyError} `forbidden` for a domain or a chain that the operator did not list */
  nonce({ domain, chain, address }: NonceInput): {
    nonce: string;
    domain: string;
    chain: number;
    expires: number;
    message?: string;
  } {
    const { walletDomains, walletChains, nonces } = this.#parts;
    const use = { domain: (domain ?? walletDomains[0] ?? '').toLowerCase(), chain: chain ?? walletChains[0] ?? 0 };
    this.#requireUse(use);
    const made = { ...use, ...nonces.create(use) };
    if (address === undefined) return made;
    const { nonce, expires } = made;
    const text = writeSignInMessage({
      ...use,
      address: checksummed(address),
      nonce,
      uri: `https://${use.domain}`,
      issuedAt: new Date(this.#now()).toISOString(),
      expires: new Date(expires).toISOString(),
    });
    return { ...made, message: text };
  }

  /**
   * @returns a token of the user whose id is the address
   * @throws {ParleyError} `invalid` for another form than that of EIP-4361; `forbidden` for another domain or chain;
   * `unauthorized` for a wrong signature, nonce or time
   * @throws {RestError} `unsupported` for contract wallets
   */
  async signIn(text: string, signature: string, ttlSeconds: number): Promise<string> {
    const message = readSignInMessage(text);
    const { chain, nonce, address, uri } = message;
    const domain = message.domain.toLowerCase();
    this.#requireUse({ domain, chain });
    if (new URL(uri).host !== new URL(`https://${domain}`).host)
      throw new ParleyError('unauthorized', 'The URI of the message has another host than its domain.');
    this.#requireTime(message);
    if (signature.length !== 2 + 2 * 65)
      throw new RestError('unsupported', 'A signature has 65 bytes; contract wallets (EIP-1271) cannot sign in.');
    const { nonces, signing } = this.#parts;
    if (!nonces.isValid(nonce, { domain, chain }))
      throw new ParleyError('unauthorized', 'The nonce is not of this server, for another use, or too old.');
    if (signerOf(text, signature) !== address)
      throw new ParleyError('unauthorized', 'The signature is not of the address of the message.');
    if (!(await nonces.spend(nonce))) throw new ParleyError('unauthorized', 'The nonce has been used before.');
    return signToken(signing, { user: address, ttlSeconds });
  }

  #requireUse({ domain, chain }: { readonly domain: string; readonly chain: number }): void {
    const { walletDomains, walletChains } = this.#parts;
    if (!walletDomains.includes(domain))
      throw new ParleyError('forbidden', 'The domain is not one on which users of this server sign in.');
    if (!walletChains.includes(chain))
      throw new ParleyError('forbidden', 'The chain is not one with which users of this server sign in.');
  }

  #requireTime({ expires, notBefore }: SignInMessage): void {
    const now = this.#now();
    if (expires !== undefined && Date.parse(expires) <= now)
      throw new ParleyError('unauthorized', 'The expiration time of the message has passed.');
    if (notBefore !== undefined && Date.parse(notBefore) > now)
      throw new ParleyError('unauthorized', 'The message is not valid yet.');
  }
}
