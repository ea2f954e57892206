/**
 * Every kind of cached value, in one table: what is cached, under which key, for how long, and which tags end it.
 *
 * `ttlMs` is the safety net: changes end an entry much earlier, by the table of invalidations.ts. The time is shortened by up
 * to a tenth at random, so that entries that were loaded together do not end together. `graceMs` is how long after that time
 * a value may still be served while another node loads it, or when its load fails. Kinds that decide what a caller may do
 * have no grace.
 *
 * A value depends on the parts of its key alone. Tags name what a value is made of: `room:R`, `user:U`, `key:K` and
 * `sessions:U`. `lists:U` are the room lists and unread counts of a user. Every value also has the tag of its kind, `kind:K`.
 */
import { createHash } from 'node:crypto';
import type { Member, RoomState, RoomSummary } from '../../protocol/model.ts';

const second = 1000;
const minute = 60 * second;

export interface KindSettings<V, I extends readonly string[]> {
  readonly about: string;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** The first words of the tags, which decide how long the fence of a tag is kept. */
  readonly families: readonly Family[];
  readonly tags: (id: I, value: V) => readonly Tag[];
}

function kind<V, I extends readonly string[]>(settings: KindSettings<V, I>): KindSettings<V, I> {
  return settings;
}

type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** The part that is the same for all users who see the room. */
export type RoomHead = Pick<RoomSummary, keyof RoomState | 'seq' | 'rev' | 'members'>;
/** Null: the user is no member. */
export type Membership = (Pick<Member, 'role' | 'muted'> & { readonly version: number }) | null;
export interface UserFacts {
  readonly id: string;
  readonly name: string | null;
}
/** A stored key without its secret; the hash of the secret is a fact of it. Null: there is no such key. */
export type ApiKeyFacts = Facts | null;
/** Null: there is no such session. */
export type SessionFacts = Facts | null;

export const kinds = {
  apiKey: kind<ApiKeyFacts, [key: string]>({
    about: 'API keys by their id',
    ttlMs: minute,
    graceMs: 0,
    families: ['key'],
    tags: ([key]) => [`key:${key}`],
  }),
  user: kind<UserFacts | null, [user: string]>({
    about: 'names of users',
    ttlMs: 15 * minute,
    graceMs: minute,
    families: ['user'],
    tags: ([user]) => [`user:${user}`],
  }),
  roomState: kind<RoomState | null, [room: string]>({
    about: 'settings of rooms',
    ttlMs: 5 * minute,
    graceMs: 30 * second,
    families: ['room'],
    tags: ([room]) => [`room:${room}`],
  }),
  roomHead: kind<RoomHead | null, [room: string]>({
    about: 'summaries of rooms: settings, head and number of members',
    ttlMs: 5 * minute,
    graceMs: 30 * second,
    families: ['room'],
    tags: ([room]) => [`room:${room}`],
  }),
  membership: kind<Membership, [room: string, user: string]>({
    about: 'memberships, for reads over REST',
    ttlMs: 5 * minute,
    graceMs: 0,
    families: ['room', 'user'],
    tags: ([room, user]) => [`room:${room}`, `user:${user}`],
  }),
  roomList: kind<{ rooms: RoomSummary[]; next: string | null }, [user: string, page: string]>({
    about: 'pages of the rooms of a user',
    ttlMs: minute,
    graceMs: 0,
    families: ['room', 'user', 'lists'],
    tags: ([user], { rooms }) => [`user:${user}`, `lists:${user}`, ...rooms.map(({ id }): Tag => `room:${id}`)],
  }),
  unread: kind<Record<string, number>, [user: string]>({
    about: 'unread counts of a user by room',
    ttlMs: minute,
    graceMs: 0,
    families: ['user', 'lists'],
    tags: ([user]) => [`user:${user}`, `lists:${user}`],
  }),
  keySet: kind<{ keys: Record<string, unknown>[] }, [url: string]>({
    about: 'public keys of identity providers (JWKS)',
    ttlMs: 10 * minute,
    graceMs: 0,
    families: [],
    tags: () => [],
  }),
  session: kind<SessionFacts, [session: string, user: string]>({
    about: 'sessions of users',
    ttlMs: 24 * 60 * minute,
    graceMs: 0,
    families: ['sessions'],
    tags: ([, user]) => [`sessions:${user}`],
  }),
  channelSearch: kind<{ rooms: RoomHead[]; next: string | null }, [query: string, page: string]>({
    about: 'results of searches for channels',
    ttlMs: minute,
    graceMs: 30 * second,
    families: ['room'],
    tags: (_, { rooms }) => rooms.map(({ id }): Tag => `room:${id}`),
  }),
} as const;

export type KindName = keyof typeof kinds;
type SettingsOf<K extends KindName> = (typeof kinds)[K];
export type IdOf<K extends KindName> = SettingsOf<K> extends KindSettings<infer _, infer I> ? Readonly<I> : never;
export type ValueOf<K extends KindName> = SettingsOf<K> extends KindSettings<infer V, infer _> ? V : never;

export const kindNames = Object.keys(kinds) as readonly KindName[];

/** `sessions:U` is apart from `user:U`, because fences of a tag are kept as long as the values that may have the tag. */
export type Family = 'room' | 'user' | 'lists' | 'key' | 'sessions';
export type Tag = `${Family}:${string}` | `kind:${KindName}`;

/** One key, or every value with the tag. */
export type Target = { readonly [K in KindName]: { readonly kind: K; readonly id: IdOf<K> } }[KindName] | Tag;

/** The tag, if the text is one. */
export function tagOf(text: string): Tag | undefined {
  if (/^(room|user|lists|key|sessions):./.test(text)) return text as Tag;
  return kindNames.some((name) => text === `kind:${name}`) ? (text as Tag) : undefined;
}

/** A longer key is a hash: the text of a search may have any length. */
const longestKey = 200;

/**
 * The key of a value, the same on all nodes: `membership/lobby/ann`. Keys and tags share one set of names. A name with `/`
 * behind its first word is a key, and a name with `:` is a tag.
 */
export function keyOf<K extends KindName>(name: K, id: IdOf<K>): string {
  const key = [name, ...(id as readonly string[]).map(escaped)].join('/');
  if (key.length <= longestKey) return key;
  return `${name}/sha256/${createHash('sha256').update(key).digest('base64url')}`;
}

/** Line breaks separate names in Redis. */
function escaped(part: string): string {
  return part.replaceAll(/[%/\n\r]/g, (character) => encodeURIComponent(character));
}

/** Everything that ends an entry: its key, its kind and its tags. */
export function namesOf<K extends KindName>(name: K, id: IdOf<K>, value: ValueOf<K>): readonly string[] {
  const { tags } = kinds[name] as unknown as KindSettings<ValueOf<K>, IdOf<K>>;
  return [keyOf(name, id), ...tags(id, value).map(escapedTag), `kind:${name}`];
}

export function nameOf(target: Target): string {
  if (typeof target === 'string') return escapedTag(target);
  return keyOf(target.kind, target.id as IdOf<typeof target.kind>);
}

function escapedTag(tag: string): string {
  return escaped(tag);
}

const lifeMs = ({ ttlMs, graceMs }: { readonly ttlMs: number; readonly graceMs: number }): number => ttlMs + graceMs;

/** The longest time for which an entry with the name may be in Redis after an invalidation. */
export function longestLifeMs(name: string): number {
  // the invalidation of a key deletes its entry, so that only loads that are under way have to be fenced
  if (/^\w+\//.test(name)) return 0;
  const family = name.slice(0, name.indexOf(':'));
  const lives = kindNames
    .filter((kindName) => name === `kind:${kindName}` || kinds[kindName].families.some((one) => one === family))
    .map((kindName) => lifeMs(kinds[kindName]));
  return Math.max(0, ...lives);
}
