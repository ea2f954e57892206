/** Checks events of other nodes. A client closes its connection when it cannot parse a packet. */
import { limits } from '../protocol/limits.ts';

const namePattern = /^[A-Za-z0-9:_-]{1,64}$/;
/** The depth to which placeholders are searched. No node nests an attachment deeper. */
const maxDepth = 64;

/** Whether the name and the JSON text make a packet that every client can parse. */
export function isEventText(event: string, json: string, attachments = 0): boolean {
  if (!namePattern.test(event) || attachments > limits.signalAttachments) return false;
  try {
    const value: unknown = JSON.parse(json);
    return attachments === 0 || hasPlaces(value, attachments, 0);
  } catch {
    return false; // not JSON, or nested deeper than the stack allows
  }
}

/** Whether every placeholder in the value names an attachment. */
function hasPlaces(value: unknown, attachments: number, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth > maxDepth) return false;
  if ('_placeholder' in value && value._placeholder === true) {
    const num: unknown = 'num' in value ? value.num : undefined;
    return Number.isInteger(num) && (num as number) >= 0 && (num as number) < attachments;
  }
  return Object.values(value).every((part) => hasPlaces(part, attachments, depth + 1));
}
