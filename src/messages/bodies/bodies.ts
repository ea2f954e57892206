/** Bodies and data of signals as they come: checked, written as JSON once, and searched for mentions. */
import type { z } from 'zod';
import {
  attachments as attachmentList,
  encrypted,
  mentions as mentionList,
  messageFiles,
  type MessageFile,
} from '../../protocol/body.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { AttachmentRules, type AttachmentRulesOptions } from './attachments.ts';
import { mentionsIn, type Mentions } from './mentions.ts';

export interface ReadBody {
  /** From `encodeBody`. */
  readonly json: string;
  /** Undefined: nobody. Only the database knows which of the users are members. */
  readonly mentions: Mentions | undefined;
  /** Uploads that the message names. Undefined: none. Their owner and their state are not checked yet. */
  readonly files?: readonly MessageFile[];
}

export class Bodies {
  readonly #attachments: AttachmentRules;

  constructor(options: AttachmentRulesOptions) {
    this.#attachments = new AttachmentRules(options);
  }

  /** @throws {ParleyError} `invalid`, `too_large` */
  read(value: unknown): ReadBody {
    const json = encodeBody(value);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { json, mentions: undefined };
    const body = value as Record<string, unknown>;
    if (body['encrypted'] !== undefined) checkEncrypted(body);
    if (body['attachments'] !== undefined) {
      this.#attachments.check(checkedPart('attachments', attachmentList, body['attachments']));
    }
    const mentions = mentionsOf(value);
    if (body['files'] === undefined) return { json, mentions };
    return { json, mentions, files: checkedPart('files', messageFiles, body['files']) };
  }
}

/** @param value a body @throws {ParleyError} `invalid` for a wrong `mentions` */
export function mentionsOf(value: unknown): Mentions | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { text, mentions: list } = value as Readonly<Record<string, unknown>>;
  const named = list === undefined ? [] : checkedPart('mentions', mentionList, list);
  if (named.length === 0 && !(typeof text === 'string' && text.includes('@'))) return undefined;
  return mentionsIn(typeof text === 'string' ? text : '', named, limits.mentions);
}

/** @throws {ParleyError} unless the envelope is valid and the body has no plain text beside it. */
function checkEncrypted(body: Record<string, unknown>): void {
  checkedPart('encrypted', encrypted, body['encrypted']);
  if (body['text'] !== undefined) {
    throw new ParleyError('invalid', 'body: what is encrypted has no `text` beside it.');
  }
  const bytes = Buffer.byteLength(JSON.stringify(body['encrypted']));
  if (bytes > limits.encryptedBytes) {
    throw new ParleyError('too_large', `body.encrypted: over ${limits.encryptedBytes} bytes.`);
  }
}

/** @throws {ParleyError} `invalid`, with the first fault and where it is. */
function checkedPart<T>(name: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = ['body', name, ...(issue?.path ?? [])].map(String).join('.');
  throw new ParleyError('invalid', `${path}: ${issue?.message ?? 'not the expected form'}`);
}

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
