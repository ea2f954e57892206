import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';

/**
 * The address of the client behind proxies: of the addresses that `X-Forwarded-For` names, and the peer itself, the last
 * one that is no proxy of ours. What a client writes into the header itself stands before that one.
 */
export class ClientAddress {
  readonly #trusted = new BlockList();
  readonly #any: boolean;

  /** @param trusted addresses and CIDR ranges. @throws {RangeError} naming one that is neither. */
  constructor(trusted: readonly string[]) {
    this.#any = trusted.length > 0;
    for (const entry of trusted) {
      const [address = '', bits] = entry.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      const max = family === 'ipv6' ? 128 : 32;
      const length = bits === undefined ? max : Number(bits);
      if (isIP(address) === 0 || !Number.isInteger(length) || length < 0 || length > max) {
        throw new RangeError(`${entry} is no address and no range such as 10.0.0.0/8`);
      }
      this.#trusted.addSubnet(address, length, family);
    }
  }

  /** Of a request, to be asked before the first await: uWS takes its headers back then. */
  read(res: HttpResponse, req: HttpRequest): string {
    const lines: string[] = [];
    // A proxy may add a line of its own instead of lengthening the client's, and `getHeader` tells only the first.
    if (this.#any) req.forEach((name, value) => void (name === 'x-forwarded-for' && lines.push(value)));
    return this.of(
      latin1(res.getRemoteAddressAsText()),
      lines.join(','),
      this.#any ? latin1(res.getProxiedRemoteAddressAsText()) : '',
    );
  }

  /** @param proxied what the PROXY protocol says, '' without. */
  of(peer: string, forwardedFor: string, proxied: string): string {
    const own = plain(peer);
    if (!this.#any || !this.#trusts(own)) return own;
    const chain = [
      ...forwardedFor.split(',').map((part) => plain(part.trim())),
      ...(proxied === '' ? [] : [plain(proxied)]),
    ];
    for (const address of chain.toReversed()) {
      if (isIP(address) === 0) break;
      if (!this.#trusts(address)) return address;
    }
    return own;
  }

  #trusts(address: string): boolean {
    return isIP(address) !== 0 && this.#trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/**
 * What limits for one address count by: itself, or of IPv6 its first half. A single host has a whole /64 there, and with
 * it more addresses than any limit for each could hold back.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = [], tail = []] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}

/** One form for each address, without brackets and port: uWS writes all eight groups out, and IPv4 as IPv6 sockets see it. */
function plain(text: string): string {
  const address = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  // a zone means something on one machine only
  if (address.includes('%')) return '';
  if (!isIPv6(address)) return address;
  const { address: written } = new SocketAddress({ address, family: 'ipv6' });
  const mapped = written.replace('::ffff:', '');
  return isIPv4(mapped) ? mapped : written;
}

function latin1(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('latin1');
}
