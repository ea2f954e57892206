/** The job of a delivery in the lanes. */
import type { Json, LaneJob } from '../lanes/lanes.ts';

/** The name of the handler of these jobs. */
export const webhookJobKind = 'webhook';

/**
 * @param occasion why the delivery has a further job. An id of its own lets the lanes take that job while the first one
 * still runs.
 */
export function jobOf(delivery: string, occasion = ''): LaneJob {
  return { id: `${delivery}${occasion}`, lane: 'normal', kind: webhookJobKind, data: { delivery } };
}

/** @throws {TypeError} for data of another job */
export function deliveryOf(data: Json): string {
  const { delivery } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, Json>>;
  if (typeof delivery !== 'string') throw new TypeError('The job of a webhook has no id of a delivery.');
  return delivery;
}
