import { useEffect, useState } from 'preact/hooks';
import type { Member } from '../../../client/index.ts';
import { useClient } from '../../ui/hooks.ts';

type Muted = NonNullable<Member['muted']>;

/** The members, with the mutes that events have brought since their list was loaded. */
export function useMutes(room: string, members: readonly Member[]): readonly Member[] {
  const client = useClient();
  const [changes, setChanges] = useState<ReadonlyMap<string, Muted | undefined>>(new Map());
  useEffect(() => {
    setChanges(new Map());
    // The list is loaded again on `ready`.
    const stopForgetting = client.on('ready', () => setChanges(new Map()));
    const stop = client.on('member', ({ room: of, user, role, change, until = null }) => {
      if (of !== room) return;
      // A promotion to admin ends a mute, and so does a new join.
      const ends = change !== 'muted' && (change !== 'role' || role === 'admin' || role === 'owner');
      if (change === 'muted') setChanges((before) => new Map(before).set(user, { until }));
      else if (ends) setChanges((before) => new Map(before).set(user, undefined));
    });
    return () => (stop(), stopForgetting());
  }, [client, room]);
  return members.map(({ muted: listed, ...member }): Member => {
    const muted = changes.has(member.user) ? changes.get(member.user) : listed;
    const over = muted === undefined || (muted.until !== null && muted.until <= Date.now());
    return over ? member : { ...member, muted };
  });
}
