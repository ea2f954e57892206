import type { HttpRequest } from 'uWebSockets.js';

export interface OriginSettings {
  /** Undefined: the same host, and with `localOrigins` any page of this machine. */
  readonly origins: readonly string[] | undefined;
  readonly localOrigins: boolean;
}

/**
 * May a page of this origin connect, and fetch a guest token to connect with? Programs that are no browser send none and may. Tokens do not travel in cookies, so
 * a foreign page gains nothing by connecting; the check keeps it from using up connections.
 */
export function originAllowed(origin: string, host: string, settings: OriginSettings): boolean {
  if (origin === '') return true;
  if (settings.origins !== undefined) return settings.origins.includes('*') || settings.origins.includes(origin);
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  if (url.host === host) return true;
  return settings.localOrigins && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}

/**
 * The headers that let a page of another origin read the answer. One rule for the socket and for the HTTP routes: who may
 * connect may fetch what connecting needs.
 * @returns undefined if the origin is not allowed.
 */
export function corsHeaders(req: HttpRequest, settings: OriginSettings): Readonly<Record<string, string>> | undefined {
  const origin = req.getHeader('origin');
  if (!originAllowed(origin, req.getHeader('host'), settings)) return undefined;
  if (origin === '') return {};
  return { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true', Vary: 'Origin' };
}

/** Besides `corsHeaders`, in the answer to OPTIONS. */
export const preflightHeaders = {
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Allow-Headers': 'Content-Type, Authorization',
  'Access-Control-Max-Age': '86400',
};
