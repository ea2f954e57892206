import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';

/**
 * Writes a body as the JSON text that is stored and sent on; nobody parses it again on the server.
 * @throws {ParleyError} `too_large`, or `invalid` for what jsonb refuses: NUL characters and lone surrogates. Found here,
 * such a message fails alone and costs its neighbours in the batch nothing.
 */
export function encodeBody(value: unknown, what = 'body'): string {
  // 1e999 parses to Infinity, which is written as null
  if (value === undefined || value === null || (typeof value === 'number' && !Number.isFinite(value)))
    throw new ParleyError('invalid', `${what}: expected JSON other than null.`);
  if (deeperThan(value, limits.bodyDepth)) {
    throw new ParleyError('invalid', `${what}: nested deeper than ${limits.bodyDepth} levels.`);
  }
  const json = JSON.stringify(value);
  // UTF-8 takes at most 3 bytes a UTF-16 unit: most bodies need no count
  const hidden = /\de[+-]\d/.test(json) ? hiddenDigits(value) : 0;
  if (json.length * 3 + hidden > limits.bodyBytes && Buffer.byteLength(json) + hidden > limits.bodyBytes) {
    throw new ParleyError('too_large', `${what}: over ${limits.bodyBytes} bytes of JSON.`);
  }
  if (json.includes('\\u') && unstorable.test(json)) {
    throw new ParleyError('invalid', `${what}: NUL characters and lone surrogates cannot be stored.`);
  }
  return json;
}

/** JSON.stringify writes NUL and lone surrogates, and nothing else of these ranges, as escapes behind an even run of backslashes. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const child of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof child === 'object' && child !== null && deeperThan(child, levels - 1)) return true;
  }
  return false;
}

/**
 * Postgres writes numbers out: 1e308 comes back as 309 digits. Without counting them a page of history could be made
 * to take 80 MB, more than a connection may be sent.
 */
function hiddenDigits(value: unknown): number {
  if (typeof value === 'number') return Number(/e[+-](\d+)$/.exec(String(value))?.[1] ?? 0);
  if (typeof value !== 'object' || value === null) return 0;
  let digits = 0;
  for (const child of Array.isArray(value) ? value : Object.values(value)) digits += hiddenDigits(child);
  return digits;
}
