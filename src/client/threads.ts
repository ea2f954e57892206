/** Threads, for clients that show them: the entry `parley/threads`. */
import type { Client } from './client.ts';
import { FollowedThreads } from './followed-threads.ts';
import { Thread } from './thread.ts';

export type { FollowedThread, FollowedThreads } from './followed-threads.ts';
export type { Thread, ThreadState } from './thread.ts';

/**
 * Opens a thread, and its room with it. It is kept up to date until `close()`.
 *
 * @param root the seq of the message at its head, which need not have been answered yet
 */
export function openThread(client: Client, room: string, root: number): Thread {
  return new Thread(client, room, root);
}

/** Who follows what: loaded at each connection and kept up to date until `close()`. */
export function followedThreads(client: Client): FollowedThreads {
  return new FollowedThreads(client);
}
