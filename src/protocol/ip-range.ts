/** An IP address, or a range of addresses in CIDR form, as text: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`. */
import { isIP } from 'node:net';

export interface IpRange {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** @returns undefined for a text of neither form. A zone such as `%eth0` has a meaning on one machine alone, and is refused. */
export function ipRange(text: string): IpRange | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || address.includes('%') || rest.length > 0) return undefined;
  const max = version === 6 ? 128 : 32;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > max)) return undefined;
  return { address, bits: bits === undefined ? max : Number(bits), family: version === 6 ? 'ipv6' : 'ipv4' };
}
