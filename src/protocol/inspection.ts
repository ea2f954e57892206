/** The questions of `parley inspect` to nodes, and their answers. Both cross Redis, where other programs may write too. */
import { z } from 'zod';
import { roomId } from './model.ts';

const count = z.int().min(0);
const session = z.string().regex(/^~?[A-Za-z0-9_-]{1,64}$/);

export const inspectQuestion = z.union([z.strictObject({ room: roomId }), z.strictObject({ connection: session })]);
export type InspectQuestion = z.infer<typeof inspectQuestion>;

export const roomFacts = z.object({
  /** The rev up to which the node has delivered events; null before the first event. */
  head: count.nullable(),
  /** Missing events up to the rev `wanted`, and failed reads of them. */
  gap: z.object({ wanted: count, failures: count }).nullable(),
  /** Events held after the gap. */
  held: count,
  /** Connections that subscribe to the room, and their users. */
  subscribers: count,
  users: count,
  /** Slow connections among the subscribers, which get `behind` instead of events. */
  off: count,
});
export type RoomFacts = z.infer<typeof roomFacts>;

export const connectionFacts = z.object({
  user: z.string(),
  /** Milliseconds since 1970. */
  since: z.number(),
  rooms: count,
  unsentBytes: count,
  /** The connection is slow and gets no signals. */
  quiet: z.boolean(),
  /** Rooms of which the slow connection gets `behind` instead of events; at most 100 of them. */
  off: z.array(z.string()).max(100),
  address: z.string(),
  device: z.string().nullable(),
  agent: z.string().nullable(),
});
export type ConnectionFacts = z.infer<typeof connectionFacts>;
