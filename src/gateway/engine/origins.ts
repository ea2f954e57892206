/**
 * May a page of this origin connect? Programs that are no browser send none and may. Tokens do not travel in cookies, so
 * a foreign page gains nothing by connecting; the check keeps it from using up connections.
 */
export function originAllowed(
  origin: string,
  host: string,
  settings: { readonly origins: readonly string[] | undefined; readonly localOrigins: boolean },
): boolean {
  if (origin === '') return true;
  if (settings.origins !== undefined) return settings.origins.includes('*') || settings.origins.includes(origin);
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  if (url.host === host) return true;
  return settings.localOrigins && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}
