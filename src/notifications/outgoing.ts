/**
 * Requests to addresses that a caller of Parley chose: webhooks and push services. Such an address must not reach the
 * network of the server (SSRF).
 *
 * - The name is resolved once. All its addresses are checked, and the connection goes to one of them. A name that resolves
 *   to another address later is resolved and checked again by the next request.
 * - Only public addresses are allowed. `allowedNetworks` names private networks that are allowed too.
 * - `https` alone; `http` only where all addresses are in `allowedNetworks`.
 * - Redirects are answers and nothing else. No proxy, and no connection of an earlier request, is used.
 * - The whole exchange ends in time, and at most `maxAnswerBytes` of the answer are read. The rest is cut off.
 */
import { lookup } from 'node:dns/promises';
import { request as requestHttp, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { urlToHttpOptions } from 'node:url';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { AddressRanges } from '../http/address-ranges.ts';
import { within } from '../jobs/within.ts';
import { outgoingUrl } from '../protocol/outgoing-url.ts';

export interface OutgoingSettings {
  /** Addresses and CIDR ranges that are allowed although they are not public. */
  readonly allowedNetworks: readonly string[];
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

export interface OutgoingAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** At most `maxAnswerBytes` of it. */
  readonly body: string;
}

/** The address is not allowed. No connection was made. */
export class OutgoingRefused extends Error {
  override readonly name = 'OutgoingRefused';
}

/** No whole answer came. The other side may have received the request. */
export class OutgoingFailed extends Error {
  override readonly name = 'OutgoingFailed';
}

interface Resolved {
  readonly address: string;
  readonly family: number;
}

export type Resolve = (host: string) => Promise<readonly Resolved[]>;

const resolveByServer: Resolve = (host) => lookup(host, { all: true });

export class Outgoing {
  readonly #settings: OutgoingSettings;
  readonly #allowed: AddressRanges;
  readonly #resolve: Resolve;

  /** @param resolve replaces the resolver of the machine */
  constructor(settings: OutgoingSettings, resolve: Resolve = resolveByServer) {
    this.#settings = settings;
    this.#allowed = new AddressRanges(settings.allowedNetworks);
    this.#resolve = resolve;
  }

  /** Checks the form of a URL, without a request. @throws {OutgoingRefused} */
  check(text: string): URL {
    const url = outgoingUrl(text);
    if (url === undefined) throw new OutgoingRefused('The URL has a form that is not allowed.');
    if (url.protocol === 'http:' && this.#settings.allowedNetworks.length === 0)
      throw new OutgoingRefused('The URL must begin with https://; http needs a network of PARLEY_OUTGOING_NETWORKS.');
    return url;
  }

  /** @throws {OutgoingRefused | OutgoingFailed} */
  async post(
    text: string,
    body: Buffer | string,
    headers: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<OutgoingAnswer> {
    const url = this.check(text);
    const stop = new AbortController();
    signal?.addEventListener('abort', () => stop.abort(), { once: true, signal: stop.signal });
    if (signal?.aborted === true) stop.abort();
    try {
      return await within(this.#settings.timeoutMs, this.#exchange(url, body, headers, stop.signal));
    } catch (error) {
      throw outgoingError(error);
    } finally {
      // a request that is late ends here
      stop.abort();
    }
  }

  async #exchange(
    url: URL,
    body: Buffer | string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<OutgoingAnswer> {
    const options = urlToHttpOptions(url);
    const addresses = await this.#addressesOf(options.hostname ?? '');
    signal.throwIfAborted();
    const trusted = addresses.map(({ address }) => address).filter((address) => this.#allowed.has(address));
    if (url.protocol === 'http:' && trusted.length < addresses.length)
      throw new OutgoingRefused('http reaches networks of PARLEY_OUTGOING_NETWORKS alone; use https.');
    const bytes = Buffer.from(body);
    const common = {
      ...options,
      method: 'POST',
      headers: { ...headers, 'content-length': bytes.byteLength },
      lookup: pinned(addresses),
      signal,
    };
    // the agent compares single addresses as text, so that each request has an agent with those of its own host
    const filter = { allowIPAddressList: trusted, keepAlive: false };
    const request =
      url.protocol === 'http:'
        ? requestHttp({ ...common, agent: new RequestFilteringHttpAgent(filter) })
        : requestHttps({ ...common, agent: new RequestFilteringHttpsAgent(filter) });
    const answer = await answerTo(request, bytes);
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      body: await readUpTo(answer, this.#settings.maxAnswerBytes),
    };
  }

  async #addressesOf(host: string): Promise<readonly Resolved[]> {
    const family = isIP(host);
    const addresses = family === 0 ? await this.#resolve(host) : [{ address: host, family }];
    if (addresses.length === 0) throw new OutgoingFailed('The name of the host has no address.');
    return addresses;
  }
}

/** Answers every question of a connection with the addresses that were checked. */
function pinned(addresses: readonly Resolved[]): LookupFunction {
  return (_host, { all }, found) => {
    const [first] = addresses;
    if (all === true) found(null, [...addresses]);
    else found(null, first?.address ?? '', first?.family);
  };
}

function answerTo(request: ClientRequest, body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    // also after the answer has begun, where the reader of the body gets the error too
    request.on('error', reject);
    request.end(body);
  });
}

async function readUpTo(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let left = maxBytes;
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part.subarray(0, left));
    left -= part.byteLength;
    // leaving the loop ends the connection
    if (left <= 0) break;
  }
  return Buffer.concat(parts).toString();
}

/** The text with which `request-filtering-agent` refuses an address. */
const filtered = 'is not allowed. Because';

function outgoingError(error: unknown): Error {
  if (error instanceof OutgoingRefused || error instanceof OutgoingFailed) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes(filtered))
    return new OutgoingRefused('The host has an address that is not public.', { cause: error });
  return new OutgoingFailed(message, { cause: error });
}
