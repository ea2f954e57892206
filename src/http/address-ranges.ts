import { BlockList, isIP } from 'node:net';
import { ipRange } from '../protocol/ip-range.ts';

/** A set of addresses and CIDR ranges, IPv4 and IPv6. An IPv4 address on an IPv6 socket counts as the IPv4 address. */
export class AddressRanges {
  readonly #list = new BlockList();

  /** @throws {RangeError} that names an entry of neither form. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const range = ipRange(entry);
      if (range === undefined) throw new RangeError(`${entry} is no address and no range such as 10.0.0.0/8`);
      this.#list.addSubnet(range.address, range.bits, range.family);
    }
  }

  /** @returns false for a text that is no address. */
  has(address: string): boolean {
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }
}
