/**
 * The message that a wallet signs to sign in (EIP-4361, "Sign-In with Ethereum"). The reader takes the form of the standard
 * and nothing else. The reader takes line by line, so that its work grows with the length of the message alone.
 */
import { ParleyError } from '../../protocol/errors.ts';
import { checksummed } from './address.ts';

export interface SignInMessage {
  /** Host, and port where there is one, of the page that asks for the signature. */
  readonly domain: string;
  /** With the checksum of EIP-55. */
  readonly address: string;
  readonly statement?: string | undefined;
  readonly uri: string;
  readonly chain: number;
  readonly nonce: string;
  /** Instants of RFC 3339, as text: the signature covers each character. */
  readonly issuedAt: string;
  readonly expires?: string | undefined;
  readonly notBefore?: string | undefined;
  readonly requestId?: string | undefined;
  readonly resources?: readonly string[] | undefined;
}

const opening = ' wants you to sign in with your Ethereum account:';
const instantPattern = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** The message, as the wallet signs it. */
export function writeSignInMessage(message: SignInMessage): string {
  const { domain, address, statement, uri, chain, nonce, issuedAt, expires, notBefore, requestId, resources } = message;
  return [
    `${domain}${opening}`,
    address,
    '',
    ...(statement === undefined ? [] : [statement]),
    '',
    `URI: ${uri}`,
    'Version: 1',
    `Chain ID: ${chain}`,
    `Nonce: ${nonce}`,
    `Issued At: ${issuedAt}`,
    ...(expires === undefined ? [] : [`Expiration Time: ${expires}`]),
    ...(notBefore === undefined ? [] : [`Not Before: ${notBefore}`]),
    ...(requestId === undefined ? [] : [`Request ID: ${requestId}`]),
    ...(resources === undefined ? [] : ['Resources:', ...resources.map((resource) => `- ${resource}`)]),
  ].join('\n');
}

/** @throws {ParleyError} `invalid`, which names the line */
export function readSignInMessage(text: string): SignInMessage {
  const lines = new Lines(text);
  const first = lines.next();
  if (!first.endsWith(opening)) lines.refuse(`expected the domain and "${opening.trim()}"`);
  const domain = first.slice(0, -opening.length);
  if (!isAuthority(domain)) lines.refuse('expected a host, such as chat.example.com');
  const address = lines.next();
  if (!/^0x[0-9a-fA-F]{40}$/.test(address)) lines.refuse('expected an address of 0x and 40 hexadecimal digits');
  if (checksummed(address) !== address) lines.refuse('the letters of the address do not have the case of EIP-55');
  if (lines.next() !== '') lines.refuse('expected an empty line');
  const statement = lines.next();
  if (!/^[\x20-\x7e]*$/.test(statement)) lines.refuse('a statement has visible characters of ASCII');
  if (statement !== '' && lines.next() !== '') lines.refuse('expected an empty line after the statement');
  const uri = lines.field('URI', isUri, 'an absolute URI');
  lines.field('Version', (value) => value === '1', 'the version 1');
  const chain = lines.field('Chain ID', (value) => /^[1-9]\d{0,14}$/.test(value), 'a number of a chain');
  const nonce = lines.field('Nonce', (value) => /^[A-Za-z0-9]{8,256}$/.test(value), 'at least 8 letters and digits');
  const issuedAt = lines.field('Issued At', isInstant, 'an instant of RFC 3339');
  const expires = lines.optional('Expiration Time', isInstant, 'an instant of RFC 3339');
  const notBefore = lines.optional('Not Before', isInstant, 'an instant of RFC 3339');
  const requestId = lines.optional(
    'Request ID',
    (value) => /^[\x21-\x7e]*$/.test(value),
    'visible characters of ASCII',
  );
  const resources = lines.list('Resources:', isUri);
  lines.end();
  return {
    domain,
    address,
    statement: statement === '' ? undefined : statement,
    uri,
    chain: Number(chain),
    nonce,
    issuedAt,
    expires,
    notBefore,
    requestId,
    resources,
  };
}

/** The lines of a message, read once from the first to the last. */
class Lines {
  readonly #lines: readonly string[];
  #read = 0;

  constructor(text: string) {
    this.#lines = text.split('\n');
  }

  next(): string {
    const line = this.#lines[this.#read];
    this.#read++;
    return line ?? this.refuse('the message ends too early');
  }

  field(name: string, valid: (value: string) => boolean, expected: string): string {
    const line = this.next();
    const value = line.slice(name.length + 2);
    return line.startsWith(`${name}: `) && valid(value) ? value : this.refuse(`expected "${name}: " and ${expected}`);
  }

  optional(name: string, valid: (value: string) => boolean, expected: string): string | undefined {
    return this.#lines[this.#read]?.startsWith(`${name}: `) === true ? this.field(name, valid, expected) : undefined;
  }

  list(title: string, valid: (value: string) => boolean): readonly string[] | undefined {
    if (this.#lines[this.#read] !== title) return undefined;
    this.#read++;
    const items: string[] = [];
    while (this.#read < this.#lines.length) {
      const line = this.next();
      if (!line.startsWith('- ') || !valid(line.slice(2))) this.refuse('expected "- " and an absolute URI');
      items.push(line.slice(2));
    }
    return items;
  }

  end(): void {
    if (this.#read === this.#lines.length) return;
    this.#read++;
    this.refuse('the message has a line that does not belong there');
  }

  refuse(reason: string): never {
    throw new ParleyError('invalid', `message: line ${this.#read}: ${reason}.`);
  }
}

/** A host and a port, without the name of a user: a page has none. */
function isAuthority(text: string): boolean {
  if (!/^[A-Za-z0-9.[\]:-]{1,255}$/.test(text)) return false;
  return URL.canParse(`https://${text}`);
}

function isUri(text: string): boolean {
  return text.length <= 2048 && /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/.test(text) && URL.canParse(text);
}

function isInstant(text: string): boolean {
  return instantPattern.test(text) && !Number.isNaN(Date.parse(text));
}
