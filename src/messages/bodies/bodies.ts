/** Bodies as they come: checked, written as JSON once, and searched for mentions. */
import type { z } from 'zod';
import {
  attachments,
  encrypted,
  mentions as mentionList,
  messageFiles,
  type MessageFile,
} from '../../protocol/body.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { encodeBody } from './json-body.ts';
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
      this.#attachments.check(part('attachments', attachments, body['attachments']));
    }
    const mentions = mentionsOf(value);
    if (body['files'] === undefined) return { json, mentions };
    return { json, mentions, files: part('files', messageFiles, body['files']) };
  }
}

/** @param value a body @throws {ParleyError} `invalid` for a wrong `mentions` */
export function mentionsOf(value: unknown): Mentions | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { text, mentions: list } = value as Readonly<Record<string, unknown>>;
  const named = list === undefined ? [] : part('mentions', mentionList, list);
  if (named.length === 0 && !(typeof text === 'string' && text.includes('@'))) return undefined;
  return mentionsIn(typeof text === 'string' ? text : '', named, limits.mentions);
}

/** @throws {ParleyError} unless the envelope is valid and the body has no plain text beside it. */
function checkEncrypted(body: Record<string, unknown>): void {
  part('encrypted', encrypted, body['encrypted']);
  if (body['text'] !== undefined) {
    throw new ParleyError('invalid', 'body: what is encrypted has no `text` beside it.');
  }
  const bytes = Buffer.byteLength(JSON.stringify(body['encrypted']));
  if (bytes > limits.encryptedBytes) {
    throw new ParleyError('too_large', `body.encrypted: over ${limits.encryptedBytes} bytes.`);
  }
}

/** @throws {ParleyError} `invalid`, with the first fault and where it is. */
function part<T>(name: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = ['body', name, ...(issue?.path ?? [])].map(String).join('.');
  throw new ParleyError('invalid', `${path}: ${issue?.message ?? 'not the expected form'}`);
}
