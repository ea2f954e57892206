/** The threads that we follow: one list for the page. */
import { followedThreads } from '../../../client/threads.ts';
import type { FollowedThread, FollowedThreads } from '../../../client/threads.ts';
import type { Client } from '../../../client/index.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

const held = new WeakMap<Client, FollowedThreads>();

/** @returns what ends it */
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

/** @returns undefined: we do not follow it, or it has no reply */
export function useFollowedThread(room: string, root: number): FollowedThread | undefined {
  const list = followedOf(useClient());
  useStore(list.entries);
  return list.get(room, root);
}

/** All that have replies, as the server listed them. */
export function useFollowedThreads(): readonly FollowedThread[] {
  return useStore(followedOf(useClient()).entries);
}
