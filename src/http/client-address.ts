import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { AddressRanges } from './address-ranges.ts';

/**
 * The address of the client behind proxies: the last address of `X-Forwarded-For` and the peer that is no trusted proxy.
 * Addresses that a client writes into the header itself precede it.
 */
export class ClientAddress {
  readonly #trusted: AddressRanges;
  readonly #any: boolean;

  /** @param trusted addresses and CIDR ranges of proxies. @throws {RangeError} that names an entry of neither form. */
  constructor(trusted: readonly string[]) {
    this.#any = trusted.length > 0;
    this.#trusted = new AddressRanges(trusted);
  }

  /** Call this before the first await: uWS takes the headers of a request back then. */
  read(res: HttpResponse, req: HttpRequest): string {
    const lines: string[] = [];
    // a proxy may add a second line to the header, and `getHeader` returns only the first one
    if (this.#any) req.forEach((name, value) => void (name === 'x-forwarded-for' && lines.push(value)));
    return this.of(
      latin1(res.getRemoteAddressAsText()),
      lines.join(','),
      this.#any ? latin1(res.getProxiedRemoteAddressAsText()) : '',
    );
  }

  /** @param proxied the address of the PROXY protocol; '' without. */
  of(peer: string, forwardedFor: string, proxied: string): string {
    const own = normalized(peer);
    if (!this.#any || !this.#trusted.has(own)) return own;
    const chain = [
      ...forwardedFor.split(',').map((part) => normalized(part.trim())),
      ...(proxied === '' ? [] : [normalized(proxied)]),
    ];
    for (const address of chain.toReversed()) {
      if (isIP(address) === 0) break;
      if (!this.#trusted.has(address)) return address;
    }
    return own;
  }
}

/**
 * The key of an address in limits: the address itself, or the first half of an IPv6 address. A single host has a whole /64
 * of IPv6, so that a limit for each address would not limit the host.
 */
export function networkOf(address: string): string {
  if (!address.includes(':') || !isIPv6(address)) return address;
  const [head = [], rest = []] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(Math.max(0, 8 - head.length - rest.length)).fill('0');
  return [...head, ...zeros, ...rest].slice(0, 4).join(':');
}

/** One form for each address, without brackets and port. uWS writes eight groups, also for IPv4 on IPv6 sockets. */
function normalized(text: string): string {
  if (isIPv4(text)) return text;
  const address = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  // a zone has a meaning on one machine alone
  if (address.includes('%')) return '';
  if (!isIPv6(address)) return address;
  const { address: written } = new SocketAddress({ address, family: 'ipv6' });
  const mapped = written.replace('::ffff:', '');
  return isIPv4(mapped) ? mapped : written;
}

function latin1(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('latin1');
}
