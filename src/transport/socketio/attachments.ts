/** Binary in JSON: each Buffer becomes a separate frame and leaves a placeholder. */
import { maxAttachments, type Incomplete, type Packet } from './packet.ts';

/** Levels of nesting that are searched. No client needs more. */
const maxDepth = 64;

/** A packet that waits for its attachments, in order. */
export class Assembly {
  readonly since: number;
  readonly #incomplete: Incomplete;
  readonly #buffers: Buffer[] = [];

  constructor(incomplete: Incomplete, now: number) {
    this.#incomplete = incomplete;
    this.since = now;
  }

  /** @returns the packet with its last attachment; 'invalid' if a placeholder names none; undefined: more are awaited. */
  add(buffer: Buffer): Packet | 'invalid' | undefined {
    this.#buffers.push(buffer);
    const { packet, attachments } = this.#incomplete;
    if (this.#buffers.length < attachments) return undefined;
    const args = fill(packet.args, this.#buffers, 0);
    return args === undefined ? 'invalid' : ({ ...packet, args } as Packet);
  }
}

/** Replaces the placeholders by buffers, in the value itself. @returns undefined if a placeholder names no buffer. */
function fill(value: unknown, buffers: readonly Buffer[], depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > maxDepth) return undefined;
  if (isPlaceholder(value)) {
    const num = 'num' in value ? value.num : undefined;
    return typeof num === 'number' ? buffers[num] : undefined;
  }
  for (const key of Object.keys(value)) {
    const child: unknown = (value as Record<string, unknown>)[key];
    if (typeof child !== 'object' || child === null) continue;
    const filled = fill(child, buffers, depth + 1);
    if (filled === undefined) return undefined;
    (value as Record<string, unknown>)[key] = filled;
  }
  return value;
}

export function isPlaceholder(value: object): boolean {
  return '_placeholder' in value && value._placeholder === true;
}

export interface Extracted {
  /** The value with placeholders. */
  readonly value: unknown;
  readonly attachments: readonly Uint8Array[];
}

/**
 * Takes the binary out of a value.
 * @returns undefined if the value has too many attachments, is nested too deeply, or has a placeholder of its sender beside
 * attachments. Stock clients close the connection over a placeholder that names no attachment.
 */
export function extract(value: unknown): Extracted | undefined {
  const attachments: Uint8Array[] = [];
  let forged = false;
  const walk = (part: unknown, depth: number): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (part instanceof Uint8Array) {
      attachments.push(part);
      return { _placeholder: true, num: attachments.length - 1 };
    }
    if (depth > maxDepth) throw new RangeError('too deep');
    if (Array.isArray(part)) return part.map((child) => walk(child, depth + 1));
    if (isPlaceholder(part)) forged = true;
    return Object.fromEntries(Object.entries(part).map(([key, child]) => [key, walk(child, depth + 1)]));
  };
  try {
    const walked = walk(value, 0);
    const refused = attachments.length > maxAttachments || (forged && attachments.length > 0);
    return refused ? undefined : { value: walked, attachments };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Replaces the placeholders in JSON by their attachments, for forms that carry binary inside. */
export function restore(json: string, attachments: readonly Uint8Array[]): unknown {
  const value: unknown = JSON.parse(json);
  return attachments.length === 0 ? value : fill(value, attachments as readonly Buffer[], 0);
}
