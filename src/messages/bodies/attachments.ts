/**
 * Which files a message may name. The server never fetches them. Every client that shows the message does, so the host of
 * the file learns the reader's address and the time. Therefore only the hosts that the operator names are allowed.
 */
import type { Attachment } from '../../protocol/body.ts';
import { ParleyError } from '../../protocol/errors.ts';

export interface AttachmentRulesOptions {
  /** `example.com`, `example.com:8443`, `*.example.com` for all below it, `*` for any. Unset: none, embedded this machine. */
  readonly attachmentHosts: readonly string[] | undefined;
  /** `image/png`, `audio/*`. */
  readonly attachmentTypes: readonly string[];
  readonly attachmentMaxBytes: number;
  readonly embedded: boolean;
}

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export class AttachmentRules {
  readonly #options: AttachmentRulesOptions;
  readonly #types: ReadonlySet<string>;

  constructor(options: AttachmentRulesOptions) {
    this.#options = options;
    this.#types = new Set(options.attachmentTypes);
  }

  /** @throws {ParleyError} `invalid`, `too_large` */
  check(files: readonly Attachment[]): void {
    files.forEach((file, i) => {
      const at = `body.attachments.${i}`;
      this.#checkUrl(`${at}.url`, file.url);
      if (!this.#types.has(file.type) && !this.#types.has(`${file.type.slice(0, file.type.indexOf('/'))}/*`)) {
        throw new ParleyError('invalid', `${at}.type: files of the type ${file.type} are not allowed here.`);
      }
      const { attachmentMaxBytes } = this.#options;
      if (file.size > attachmentMaxBytes)
        throw new ParleyError('too_large', `${at}.size: over ${attachmentMaxBytes} bytes.`);
    });
  }

  #checkUrl(at: string, text: string): void {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    // parsers differ in what they make of odd forms (`https://good\@bad/`): the one form is taken that all read alike
    if (url === undefined || (url.href !== text && url.href !== `${text}/`)) {
      throw new ParleyError('invalid', `${at}: expected an absolute address in its normal form, as URL writes it.`);
    }
    const isLocal = this.#options.embedded && loopback.has(url.hostname);
    if (url.protocol !== 'https:' && !(isLocal && url.protocol === 'http:')) {
      throw new ParleyError('invalid', `${at}: expected https.`);
    }
    if (url.username !== '' || url.password !== '') {
      throw new ParleyError('invalid', `${at}: expected an address without a password.`);
    }
    if (!this.#isAllowed(url, isLocal)) {
      throw new ParleyError('invalid', `${at}: files at ${url.host} are not allowed here.`);
    }
  }

  #isAllowed({ host }: URL, isLocal: boolean): boolean {
    const { attachmentHosts: hosts } = this.#options;
    if (hosts === undefined) return isLocal;
    return hosts.some((allowed) => {
      if (allowed === '*') return true;
      return allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed;
    });
  }
}
