import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { HttpRequest } from 'uWebSockets.js';

export interface OriginSettings {
  /** Undefined: the same host, and with `localOrigins` any page of this machine. */
  readonly origins: readonly string[] | undefined;
  /** The embedded demo: pages of this machine may connect, and requests to other host names are refused. */
  readonly localOrigins: boolean;
}

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const machine = hostname().toLowerCase();

/**
 * Whether the server accepts requests to this host. The owner of a page can point a host name at the address of this machine
 * (DNS rebinding). The requests of the page then look like requests of the same origin. An address as host is always accepted.
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
 * Whether a page of this origin may connect, and fetch a guest token for that. Programs other than browsers send no origin,
 * and may connect. No cookie carries a token, so a foreign page gains nothing by a connection. The check keeps foreign pages
 * from using up connections.
 */
export function originAllowed(origin: string, { host, proto }: Target, settings: OriginSettings): boolean {
  if (!hostAllowed(host, settings)) return false;
  if (origin === '') return true;
  if (settings.origins !== undefined) return settings.origins.includes('*') || settings.origins.includes(origin);
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const scheme = url.protocol.slice(0, -1);
  // a third party on the network can write the http page of a host, but not its https page
  const isSecure = scheme === 'https' || (scheme === 'http' && proto !== 'https');
  if (isSecure && URL.canParse(`${scheme}://${host}`) && new URL(`${scheme}://${host}`).host === url.host) return true;
  return settings.localOrigins && scheme.startsWith('http') && loopback.includes(url.hostname);
}

/** The host of a request, and its scheme if a proxy reports one. */
export interface Target {
  readonly host: string;
  readonly proto: string;
}

/** The last entry is of the proxy nearest to the server. A client can only make the rule stricter for itself. */
export function targetOf(req: HttpRequest): Target {
  return targetFrom(req.getHeader('host'), req.getHeader('x-forwarded-proto'));
}

export function targetFrom(host: string, forwardedProto: string): Target {
  if (forwardedProto === '') return { host, proto: '' };
  return { host, proto: forwardedProto.toLowerCase().split(',').at(-1)?.trim() ?? '' };
}

/**
 * The headers that let a page of another origin read the answer. The socket and the HTTP routes have one rule: a page that
 * may connect may fetch a token.
 * @returns undefined if the origin is not allowed.
 */
export function corsHeaders(req: HttpRequest, settings: OriginSettings): Readonly<Record<string, string>> | undefined {
  return corsHeadersFor(req.getHeader('origin'), targetOf(req), settings);
}

/** The same, for a request that is not of uWS. */
export function corsHeadersFor(
  origin: string,
  target: Target,
  settings: OriginSettings,
): Readonly<Record<string, string>> | undefined {
  if (!originAllowed(origin, target, settings)) return undefined;
  if (origin === '') return {};
  return { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true', Vary: 'Origin' };
}

/** Further headers in the answer to OPTIONS. */
export const preflightHeaders = {
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
  'Access-Control-Allow-Headers':
    'Content-Type, Authorization, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent, Parley-User, Range, ' +
    'If-Range, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata',
  'Access-Control-Max-Age': '86400',
};

/** Headers of answers that a page of another origin may read. */
export const exposedHeaders = {
  'Access-Control-Expose-Headers':
    'ETag, Link, Location, Accept-Ranges, Content-Disposition, Content-Range, Idempotency-Replay, RateLimit, ' +
    'RateLimit-Policy, Retry-After, X-Request-Id, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, ' +
    'Upload-Length, Upload-Metadata, Upload-Expires',
};
