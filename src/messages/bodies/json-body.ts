import { ParleyError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';

/**
 * Writes a body as the JSON text that is stored and sent on; nobody parses it again on the server.
 * @throws {ParleyError} `too_large`, or `invalid` for what jsonb refuses: NUL characters and lone surrogates. Found here,
 * such a message fails alone and costs its neighbours in the batch nothing.
 */
export function encodeBody(value: unknown): string {
  if (value === undefined || value === null) throw new ParleyError('invalid', 'body: expected JSON other than null.');
  const json = JSON.stringify(plain(value, limits.bodyDepth, 'body', undefined));
  checkSize('body', json, hiddenDigits(json));
  if (json.includes('\\u') && unstorable.test(json)) {
    throw new ParleyError('invalid', 'body: NUL characters and lone surrogates cannot be stored.');
  }
  return json;
}

/** A signal's data as JSON text, '' if there is none, with its binary parts apart and placeholders in their places. */
export function encodeSignal(value: unknown): { json: string; attachments: readonly Uint8Array[] } {
  if (value === undefined) return { json: '', attachments: [] };
  const attachments: Uint8Array[] = [];
  const json = JSON.stringify(plain(value, limits.bodyDepth, 'data', attachments));
  if (attachments.length > limits.signalAttachments) {
    throw new ParleyError('invalid', `data: at most ${limits.signalAttachments} binary parts.`);
  }
  checkSize(
    'data',
    json,
    attachments.reduce((sum, part) => sum + part.byteLength, 0),
  );
  return { json, attachments };
}

/** JSON.stringify writes NUL and lone surrogates, and nothing else of these ranges, as escapes behind an even run of backslashes. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/**
 * Postgres writes numbers out: 1e308 comes back as 309 digits. Without counting them a page of history could be made
 * to take 80 MB, more than a connection may be sent. A number inside of a text counts too: rare, and harmless.
 */
function hiddenDigits(json: string): number {
  if (!json.includes('e+') && !json.includes('e-')) return 0;
  let digits = 0;
  for (const [, exponent] of json.matchAll(/\de[+-](\d{1,3})/g)) digits += Number(exponent);
  return digits;
}

function checkSize(what: string, json: string, more: number): void {
  // UTF-8 takes at most 3 bytes a UTF-16 unit: most bodies need no count
  if (json.length * 3 + more <= limits.bodyBytes) return;
  if (Buffer.byteLength(json) + more > limits.bodyBytes) {
    throw new ParleyError('too_large', `${what}: over ${limits.bodyBytes} bytes.`);
  }
}

/**
 * Checks that a value is JSON: msgpack brings dates, maps and big integers too. Binary is moved to `attachments`, where
 * there may be any. A value without binary is returned as it is, so JSON costs a walk and no copy.
 */
function plain(value: unknown, depth: number, what: string, attachments: Uint8Array[] | undefined): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  // what JSON has no number for (1e999) would be written as null
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (value === undefined) return value; // of msgpack; JSON.stringify leaves it out
  if (typeof value !== 'object') throw new ParleyError('invalid', `${what}: a ${typeof value} is no JSON.`);
  if (value instanceof Uint8Array) {
    if (attachments === undefined)
      throw new ParleyError('invalid', `${what}: binary is not stored; send base64 or a link.`);
    return { _placeholder: true, num: attachments.push(value) - 1 };
  }
  if (depth === 0) throw new ParleyError('invalid', `${what}: nested deeper than ${limits.bodyDepth} levels.`);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
    throw new ParleyError('invalid', `${what}: only objects, arrays, texts, numbers and booleans are JSON.`);
  }
  const children = value as Record<string, unknown>;
  if (attachments !== undefined && children['_placeholder'] === true) {
    // one that names no attachment would make stock clients close their connection
    throw new ParleyError('invalid', `${what}: \`_placeholder\` is kept for binary parts.`);
  }
  for (const key of Object.keys(children)) {
    const child = children[key];
    const checked = plain(child, depth - 1, what, attachments);
    if (checked !== child) children[key] = checked;
  }
  return value;
}
