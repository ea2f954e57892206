/** Comparison of entity tags. */

/** Whether the header names every tag. */
export function isAny(header: string): boolean {
  return header.split(',').some((name) => name.trim() === '*');
}

/** Whether a header such as If-None-Match names the tag. Weak tags count as equal: the compression of an answer differs. */
export function namesTag(header: string, tag: string): boolean {
  const names = header.split(',').map((name) => name.trim().replace(/^W\//, ''));
  return names.includes('*') || names.includes(tag);
}
