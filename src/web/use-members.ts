import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Member } from '../client/index.ts';
import { useClient } from './use.ts';

/** The members of a room, kept up to date by its events. */
export function useMembers(id: string, ready: boolean): { members: readonly Member[]; reload: () => void } {
  const client = useClient();
  const [members, setMembers] = useState<readonly Member[]>([]);
  const latest = useRef(0);
  const reload = useCallback(() => {
    const asked = (latest.current += 1);
    client.members(id).then(
      (list) => asked === latest.current && setMembers(list),
      // Without them the room still works; the next event or reconnect asks again.
      () => undefined,
    );
  }, [client, id]);
  useEffect(() => {
    if (!ready) return undefined;
    reload();
    const stops = [client.on('member', (change) => change.room === id && reload()), client.on('ready', () => reload())];
    return () => {
      latest.current += 1;
      for (const stop of stops) stop();
    };
  }, [client, id, ready, reload]);
  return { members, reload };
}
