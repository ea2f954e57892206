import type { EventData } from '../protocol/events.ts';

/** The JSON text of a `behind` event, for a change that clients cannot apply from an event alone. */
export function behindJson(data: EventData<'behind'>): string {
  return JSON.stringify(data);
}
