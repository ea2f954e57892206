/** The ids of a request: its own, and its place in a trace (W3C Trace Context, level 1). */
import { randomBytes, randomUUID } from 'node:crypto';

export interface RequestIds {
  readonly requestId: string;
  /** Undefined: the client sent no valid `traceparent`. */
  readonly trace: Trace | undefined;
}

export interface Trace {
  /** The id that all requests of the trace have, for the log. */
  readonly id: string;
  /** The header `traceparent` of the answer, with the id that this server gave to its part of the trace. */
  readonly parent: string;
}

const requestIdPattern = /^[\w.:-]{1,64}$/;
/** Later versions may have further fields. */
const parentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]{0,256})?$/;
const sampled = 1;

export function requestIds(header: (name: string) => string | undefined): RequestIds {
  const given = header('x-request-id');
  return {
    requestId: given !== undefined && requestIdPattern.test(given) ? given : randomUUID(),
    trace: traceOf(header('traceparent')),
  };
}

/** @returns undefined for a header that the specification calls invalid */
export function traceOf(traceparent: string | undefined): Trace | undefined {
  if (traceparent === undefined) return undefined;
  const [, version = '', id = '', parent = '', flags = '', more] = parentPattern.exec(traceparent) ?? [];
  if (version === '' || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (isZero(id) || isZero(parent)) return undefined;
  const kept = (Number.parseInt(flags, 16) & sampled).toString(16).padStart(2, '0');
  return { id, parent: `00-${id}-${randomBytes(8).toString('hex')}-${kept}` };
}

function isZero(id: string): boolean {
  return /^0+$/.test(id);
}
