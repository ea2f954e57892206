/**
 * Every kind of cached value, in one table: what is cached, under which key, for how long, and which tags end it.
 *
 * `ttlMs` is the safety net: changes end an entry much earlier, by the table of invalidations.ts. The time is shortened by up
 * to a tenth at random, so that entries that were loaded together do not end together. `graceMs` is how long after that time
 * a value may still be served while another node loads it, or when its load fails. Kinds that decide what a caller may do
 * have no grace.
 *
 * A value depends on the parts of its key alone. Tags name what a value is made of: `room:R` and `user:U`. Every value also has
 * the tag of its kind, `kind:K`.
 */
import { createHash } from 'node:crypto';
import type { Profile } from '../../protocol/profile.ts';

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

export interface UserFacts {
  readonly id: string;
  readonly name: string | null;
}
/** The channels of a page, in their order. Their rows are read for each reader again. */
export interface FoundChannels {
  readonly ids: readonly string[];
  readonly after: string | null;
  readonly more: boolean;
}

export const kinds = {
  user: kind<UserFacts | null, [user: string]>({
    about: 'names of users',
    ttlMs: 15 * minute,
    graceMs: minute,
    families: ['user'],
    tags: ([user]) => [`user:${user}`],
  }),
  profile: kind<Profile, [user: string]>({
    about: 'profiles of users',
    ttlMs: 15 * minute,
    graceMs: minute,
    families: ['user'],
    tags: ([user]) => [`user:${user}`],
  }),
  roomOwner: kind<string, [room: string]>({
    about: 'the user as whom an API key acts in a room',
    ttlMs: 5 * minute,
    graceMs: 0,
    families: ['room', 'user'],
    tags: ([room], owner) => [`room:${room}`, `user:${owner}`],
  }),
  channelSearch: kind<FoundChannels, [query: string, page: string]>({
    about: 'pages of searches for channels',
    ttlMs: minute,
    graceMs: 30 * second,
    families: ['room'],
    tags: (_, { ids }) => ids.map((id): Tag => `room:${id}`),
  }),
} as const;

export type KindName = keyof typeof kinds;
type SettingsOf<K extends KindName> = (typeof kinds)[K];
export type IdOf<K extends KindName> = SettingsOf<K> extends KindSettings<infer _, infer I> ? Readonly<I> : never;
export type ValueOf<K extends KindName> = SettingsOf<K> extends KindSettings<infer V, infer _> ? V : never;

export const kindNames = Object.keys(kinds) as readonly KindName[];

/** Fences of a tag are kept as long as the values that may have a tag of its family. */
export type Family = 'room' | 'user';
export type Tag = `${Family}:${string}` | `kind:${KindName}`;

/** One key, or every value with the tag. */
export type Target = { readonly [K in KindName]: { readonly kind: K; readonly id: IdOf<K> } }[KindName] | Tag;

/** The tag, if the text is one. */
export function tagOf(text: string): Tag | undefined {
  if (/^(room|user):./.test(text)) return text as Tag;
  return kindNames.some((name) => text === `kind:${name}`) ? (text as Tag) : undefined;
}

/** A longer key is a hash: the text of a search may have any length. */
const longestKey = 200;

/**
 * The key of a value, the same on all nodes: `roomOwner/lobby`. Keys and tags share one set of names. A name with `/`
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
