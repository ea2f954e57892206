/** The threads that this user follows: one list for the page. */
import { followedThreads } from '../../../client/threads.ts';
import type { FollowedThread, FollowedThreads } from '../../../client/threads.ts';
import type { Client } from '../../../client/index.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

const held = new WeakMap<Client, FollowedThreads>();

/** @returns a function that ends it */
export function loadFollowedThreads(client: Client): () => void {
  const list = followedOf(client);
  return () => {
    held.delete(client);
    list.close();
  };
}

function followedOf(client: Client): FollowedThreads {
  const list = held.get(client) ?? followedThreads(client);
  held.set(client, list);
  return list;
}

/** @returns undefined if the user does not follow the thread, or if it has no reply */
export function useFollowedThread(room: string, root: number): FollowedThread | undefined {
  const list = followedOf(useClient());
  useStore(list.entries);
  return list.get(room, root);
}

/** All followed threads with replies, in the order of the server. */
export function useFollowedThreads(): readonly FollowedThread[] {
  return useStore(followedOf(useClient()).entries);
}
