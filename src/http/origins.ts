import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { HttpRequest } from 'uWebSockets.js';

export interface OriginSettings {
  /** Undefined: the same host, and with `localOrigins` any page of this machine. */
  readonly origins: readonly string[] | undefined;
  /** The embedded demo: pages of this machine may connect, and names of other machines lead nowhere. */
  readonly localOrigins: boolean;
}

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const machine = hostname().toLowerCase();

/**
 * Whether the server answers to this name. A page can give a name of its own the address of this machine (DNS rebinding);
 * its requests then look like those of the same origin. An address is no name, so it is always right.
 */
export function hostAllowed(host: string, { origins, localOrigins }: OriginSettings): boolean {
  if (!localOrigins || host === '' || origins?.includes('*') === true) return true;
  const target = `http://${host}`;
  if (!URL.canParse(target)) return false;
  const { hostname: name } = new URL(target);
  if (loopback.includes(name) || name === machine || name.startsWith('[') || isIP(name) !== 0) return true;
  return origins?.some((origin) => URL.canParse(origin) && new URL(origin).hostname === name) ?? false;
}

/**
 * May a page of this origin connect, and fetch a guest token to connect with? Programs that are no browser send none and may. Tokens do not travel in cookies, so
 * a foreign page gains nothing by connecting; the check keeps it from using up connections.
 */
export function originAllowed(origin: string, { host, proto }: Asked, settings: OriginSettings): boolean {
  if (!hostAllowed(host, settings)) return false;
  if (origin === '') return true;
  if (settings.origins !== undefined) return settings.origins.includes('*') || settings.origins.includes(origin);
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const scheme = url.protocol.slice(0, -1);
  // Whoever is on the way can write the http page of a host, but not its https page.
  const isSecure = scheme === 'https' || (scheme === 'http' && proto !== 'https');
  if (isSecure && URL.canParse(`${scheme}://${host}`) && new URL(`${scheme}://${host}`).host === url.host) return true;
  return settings.localOrigins && scheme.startsWith('http') && loopback.includes(url.hostname);
}

/** For which host a request asked, and by which scheme if a proxy says so. */
export interface Asked {
  readonly host: string;
  readonly proto: string;
}

/** The last proxy that says so is the one nearest to the server; a client can only make the rule stricter for itself. */
export function askedBy(req: HttpRequest): Asked {
  const proto = req.getHeader('x-forwarded-proto').toLowerCase().split(',').at(-1)?.trim() ?? '';
  return { host: req.getHeader('host'), proto };
}

/**
 * The headers that let a page of another origin read the answer. One rule for the socket and for the HTTP routes: who may
 * connect may fetch what connecting needs.
 * @returns undefined if the origin is not allowed.
 */
export function corsHeaders(req: HttpRequest, settings: OriginSettings): Readonly<Record<string, string>> | undefined {
  const origin = req.getHeader('origin');
  if (!originAllowed(origin, askedBy(req), settings)) return undefined;
  if (origin === '') return {};
  return { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true', Vary: 'Origin' };
}

/** Besides `corsHeaders`, in the answer to OPTIONS. */
export const preflightHeaders = {
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Allow-Headers': 'Content-Type, Authorization',
  'Access-Control-Max-Age': '86400',
};
