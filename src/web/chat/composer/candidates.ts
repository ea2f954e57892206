/** The users that an `@` and some letters may mean: the members of the room, and everybody at once. Pure. */
import type { Member } from '../../../client/index.ts';
import { everybody } from '../text/mentions.ts';

export interface Candidate {
  readonly id: string;
  readonly name: string;
  /** A hint that distinguishes users of the same name, or explains the entry. */
  readonly about?: string;
  /** Undefined: unknown. */
  readonly online?: boolean | undefined;
}

/** The order of users whose names match equally well. */
export interface Activity {
  readonly online: (user: string) => boolean | undefined;
  /** The seq of the user's last message; 0: none of the loaded ones. */
  readonly lastSeq: (user: string) => number;
}

export interface CandidateQuery {
  readonly query: string;
  readonly members: readonly Member[];
  readonly me: string;
  /** This user may mention everybody. */
  readonly all: boolean;
  readonly activity: Activity;
}

const maxCandidates = 8;

/**
 * Members whose name, a word of it, or id begins with the query. Better matches come first, then online users, then the
 * latest authors.
 */
export function candidatesFor({ query, members, me, all, activity }: CandidateQuery): Candidate[] {
  const wanted = query.toLocaleLowerCase();
  const rank = ({ user, name }: Member): number => {
    const lower = (name ?? user).toLocaleLowerCase();
    if (lower.startsWith(wanted)) return 0;
    if (lower.split(/[\s.-]+/u).some((word) => word.startsWith(wanted))) return 1;
    return user.toLocaleLowerCase().startsWith(wanted) ? 2 : 3;
  };
  const found = members
    .filter(({ user }) => user !== me)
    .map(({ user, name, ...rest }) => ({
      id: user,
      name: name ?? user,
      rank: rank({ user, name, ...rest }),
      online: activity.online(user),
      last: activity.lastSeq(user),
    }))
    .filter((one) => one.rank < 3)
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        Number(b.online === true) - Number(a.online === true) ||
        b.last - a.last ||
        a.name.localeCompare(b.name) ||
        (a.id < b.id ? -1 : 1),
    );
  const room: Candidate[] =
    all && everybody.startsWith(wanted) ? [{ id: everybody, name: everybody, about: 'Everybody in this room' }] : [];
  const people = found.slice(0, maxCandidates - room.length);
  const suffixOf = suffixes(members);
  return [
    ...people.map(({ id, name, online }): Candidate => {
      const suffix = suffixOf(id);
      return { id, name, online, ...(suffix !== undefined && { about: suffix }) };
    }),
    ...room,
  ];
}

const shortestSuffix = 4;

/**
 * The suffix for a name that several members have: the shortest end of the id that distinguishes them.
 *
 * @returns for the id of a member; undefined: the name is unique
 */
export function suffixes(members: readonly Pick<Member, 'user' | 'name'>[]): (id: string) => string | undefined {
  const byName = new Map<string, string[]>();
  for (const { user, name } of members) {
    const key = readingOf(name ?? user);
    const same = byName.get(key);
    if (same === undefined) byName.set(key, [user]);
    else same.push(user);
  }
  const found = new Map<string, string>();
  for (const ids of byName.values()) {
    if (ids.length < 2) continue;
    let length = shortestSuffix;
    const longest = Math.max(...ids.map((id) => id.length));
    while (length < longest && new Set(ids.map((id) => id.slice(-length))).size < ids.length) length += 1;
    for (const id of ids) found.set(id, length >= id.length ? id : `…${id.slice(-length)}`);
  }
  return (id) => found.get(id);
}

/** One form for all names that are the same to a reader: with other case, other spaces or another composition. */
function readingOf(name: string): string {
  return name.normalize('NFKC').toLocaleLowerCase().replaceAll(/\s+/gu, ' ').trim();
}
