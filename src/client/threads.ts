/** The entry `parley/threads`, for clients that show threads. */
import type { Client } from './client.ts';
import { FollowedThreads } from './followed-threads.ts';
import { Thread } from './thread.ts';

export type { FollowedThread, FollowedThreads } from './followed-threads.ts';
export type { Thread, ThreadState } from './thread.ts';

/**
 * Opens a thread, and its room with it. The thread stays up to date until `close()`.
 *
 * @param root the seq of the message at its head, also of one without a reply
 */
export function openThread(client: Client, room: string, root: number): Thread {
  return new Thread(client, room, root);
}

/** The threads that this user follows: loaded at each connection and updated until `close()`. */
export function followedThreads(client: Client): FollowedThreads {
  return new FollowedThreads(client);
}
