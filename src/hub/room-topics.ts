/**
 * The topics of a room. One for each form of packets, so that an event is written once for each form in use, and for each
 * form another one without signals, for connections that are slow.
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

/** @returns undefined for topics that are not a room's. */
export function roomOfTopic(topic: string): string | undefined {
  return known.has(topic.slice(0, 2)) ? topic.slice(2) : undefined;
}

export function roomTopics(room: string): string[] {
  return [...known].map((prefix) => prefix + room);
}
