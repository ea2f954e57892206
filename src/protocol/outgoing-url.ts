/** The addresses to which Parley sends requests because a caller named them. */

export const outgoingUrlLength = 2048;

/**
 * @returns undefined for a text that is no URL of http or https, is too long, or has a user, a password or a fragment. A
 * password in a URL would be shown in every list.
 */
export function outgoingUrl(text: string): URL | undefined {
  if (text.length > outgoingUrlLength || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const plain = url.username === '' && url.password === '' && url.hash === '' && !text.includes('#');
  return plain && (url.protocol === 'https:' || url.protocol === 'http:') ? url : undefined;
}
