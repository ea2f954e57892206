/** The delivery and read marks of the other members: read at each connection, then updated by events. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { limits } from '../../../client/index.ts';
import type { Client, Member } from '../../../client/index.ts';
import { nameOf } from '../members/people.ts';
import { useClient } from '../../ui/hooks.ts';

interface Marks {
  readonly read: number;
  readonly delivered: number;
}

/** Names. */
export interface Receipt {
  readonly read: readonly string[];
  /** The users that have the message and have not read it. */
  readonly delivered: readonly string[];
  readonly waiting: readonly string[];
}

export interface Receipts {
  readonly others: number;
  /** The numbers of users that have a message, and that have read it. */
  counts(seq: number): { readonly read: number; readonly delivered: number };
  readers(seq: number): Receipt;
}

const none: ReadonlyMap<string, Marks> = new Map();

/** @returns undefined in rooms with more members than the server sends marks for, and in rooms of one member */
export function useReceipts(room: string, members: readonly Member[]): Receipts | undefined {
  const client = useClient();
  const me = client.user.value?.id;
  const [marks, setMarks] = useState(none);
  const isSmallRoom = members.length > 1 && members.length <= limits.readReceiptMembers;
  useEffect(() => {
    if (!isSmallRoom) return undefined;
    let open = true;
    const move = (user: string, seq: number, read: boolean): void =>
      setMarks((held) => {
        const before = held.get(user) ?? { read: 0, delivered: 0 };
        // Both marks only move forward, and a message that is read was delivered.
        const now = {
          read: read ? Math.max(before.read, seq) : before.read,
          delivered: Math.max(before.delivered, seq),
        };
        const same = now.read === before.read && now.delivered === before.delivered;
        return same ? held : new Map(held).set(user, now);
      });
    const load = (): void => {
      loadReceipts(client, room).then(
        (receipts) => {
          for (const { user, read, delivered } of open ? receipts : []) {
            move(user, read, true);
            move(user, delivered, false);
          }
        },
        // The next connection sends a new request.
        () => undefined,
      );
    };
    load();
    const stops = [
      client.on('ready', load),
      client.on('read', (mark) => mark.room === room && move(mark.user, mark.seq, true)),
      client.on('delivered', (mark) => mark.room === room && move(mark.user, mark.seq, false)),
    ];
    return () => {
      open = false;
      stops.forEach((stop) => stop());
    };
  }, [client, room, isSmallRoom]);

  return useMemo(() => {
    if (!isSmallRoom) return undefined;
    const others = members
      .filter(({ user }) => user !== me)
      .map(({ user, name, read }) => {
        const mark = marks.get(user);
        const upTo = Math.max(read, mark?.read ?? 0);
        return { user, name, read: upTo, delivered: Math.max(upTo, mark?.delivered ?? 0) };
      });
    const names = (of: typeof others): string[] => of.map(({ user, name }) => nameOf(user, name));
    return {
      others: others.length,
      counts: (seq) => ({
        read: others.filter(({ read }) => read >= seq).length,
        delivered: others.filter(({ delivered }) => delivered >= seq).length,
      }),
      readers: (seq) => ({
        read: names(others.filter(({ read }) => read >= seq)),
        delivered: names(others.filter(({ read, delivered }) => read < seq && delivered >= seq)),
        waiting: names(others.filter(({ delivered }) => delivered < seq)),
      }),
    };
  }, [members, marks, me, isSmallRoom]);
}

async function loadReceipts(client: Client, room: string) {
  // The server sends marks for at most this many members: one page.
  const { receipts } = await client.call('room:receipts', { room, limit: limits.pageSize });
  return receipts;
}
