import { isPlaceholder } from '../../transport/socketio/attachments.ts';
import { maxAttachments } from '../../transport/socketio/packet.ts';
import { Refused } from './refusals.ts';

const maxDepth = 64;

/**
 * Copies a value of a back end to one that every form of packets can carry. Text is well-formed, because notepack damages
 * the bytes after a lone surrogate. Dates are ISO text, bytes are Uint8Array, and objects have their own keys only.
 *
 * @throws {Refused} `malformed` past 64 levels; `attachments` with more binary parts than stock clients take, or with a
 * placeholder that the sender wrote beside binary parts. Stock clients close the connection over such a placeholder.
 */
export function sanitize(value: unknown): unknown {
  let binary = 0;
  let forged = false;
  const walk = (part: unknown, depth: number): unknown => {
    if (typeof part === 'string') return part.isWellFormed() ? part : part.toWellFormed();
    if (typeof part === 'bigint') return Number(part);
    if (typeof part !== 'object' || part === null) return part;
    if (part instanceof Date) return Number.isNaN(part.getTime()) ? null : part.toISOString();
    if (part instanceof ArrayBuffer || part instanceof Uint8Array) {
      binary++;
      return part instanceof ArrayBuffer ? new Uint8Array(part) : part;
    }
    if (depth === maxDepth) throw new Refused('malformed', `an event that is nested deeper than ${maxDepth} levels`);
    if (Array.isArray(part)) return part.map((child) => walk(child, depth + 1));
    if (isPlaceholder(part)) forged = true;
    return Object.fromEntries(
      Object.entries(part).map(([key, child]) => [
        key.isWellFormed() ? key : key.toWellFormed(),
        walk(child, depth + 1),
      ]),
    );
  };
  const walked = walk(value, 0);
  if (binary > maxAttachments)
    throw new Refused('attachments', `an event with more than ${maxAttachments} binary parts`);
  if (forged && binary > 0) throw new Refused('attachments', 'an event with a `_placeholder` beside binary parts');
  return walked;
}
