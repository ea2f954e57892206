/**
 * The topics of a room: one for each form of packets, so that an event is encoded once for each form in use. Each form has
 * a second topic without signals, for slow connections.
 */
import type { Form } from '../transport/socketio/packet.ts';

const prefixes: Record<Form, { all: string; quiet: string }> = {
  json: { all: 'r:', quiet: 'e:' },
  msgpack: { all: 'm:', quiet: 'n:' },
};

export const forms = Object.keys(prefixes) as readonly Form[];
const known = new Set(Object.values(prefixes).flatMap(({ all, quiet }) => [all, quiet]));

export function roomTopic(form: Form, room: string, quiet = false): string {
  return (quiet ? prefixes[form].quiet : prefixes[form].all) + room;
}

/** @returns undefined for a topic of no room */
export function roomOfTopic(topic: string): string | undefined {
  return known.has(topic.slice(0, 2)) ? topic.slice(2) : undefined;
}

export function roomTopics(room: string): string[] {
  return [...known].map((prefix) => prefix + room);
}
