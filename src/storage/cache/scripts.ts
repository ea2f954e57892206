/**
 * The keys in Redis, and the scripts that change them. Each script is atomic. Under the prefix of the installation:
 *
 * - `state`, a hash. `clock` is the version, which each invalidation raises. `floor`: entries with a lower version are void.
 *   `since` is when Redis got this hash. `bytes` is the size of all entries. `n:NODE` is until when a node may serve values
 *   from its memory. The clock starts with the time in microseconds, so that a Redis that has lost its data continues with
 *   higher versions, and refuses loads that began before.
 * - `e:KEY`, a hash: the version `v`, the end of freshness `x`, the names `t`, the text `d`, and the size `b`.
 * - `f:NAME`: the version of the last invalidation of a key or tag, for as long as a lower entry may exist.
 * - `l:KEY`: the lease of the node that loads the key now. An invalidation ends it: nobody waits for a value that is void.
 * - `index`, a sorted set of `SIZE|KEY` by the end of the entry: it bounds the size, and what ends first goes first.
 */
import type { RedisLink } from '../redis.ts';

const common = `
local P = ARGV[1]
local state, index = P .. 'state', P .. 'index'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function plain(n) return string.format('%.0f', n) end
local function clock(raise)
  if redis.call('HEXISTS', state, 'clock') == 0 then
    local first = plain(time[1] * 1000000 + time[2])
    redis.call('HSET', state, 'clock', first, 'floor', first, 'since', plain(now), 'bytes', '0')
  end
  if raise == 0 then return tonumber(redis.call('HGET', state, 'clock')) end
  return redis.call('HINCRBY', state, 'clock', raise)
end
local function isValid(version, names, least)
  if version < least or version < tonumber(redis.call('HGET', state, 'floor')) then return false end
  for name in string.gmatch(names, '[^\\n]+') do
    local fence = redis.call('GET', P .. 'f:' .. name)
    if fence and tonumber(fence) > version then return false end
  end
  return true
end
local function uncount(member)
  if redis.call('ZREM', index, member) == 1 then
    redis.call('HINCRBY', state, 'bytes', -tonumber(string.match(member, '^%d+')))
  end
end
local function remove(key)
  local size = redis.call('HGET', P .. 'e:' .. key, 'b')
  if size then
    redis.call('DEL', P .. 'e:' .. key)
    uncount(size .. '|' .. key)
  end
end
local function nodes()
  local found, all = {}, redis.call('HGETALL', state)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'n:' then
      if tonumber(all[i + 1]) > now then found[#found + 1] = string.sub(all[i], 3) else redis.call('HDEL', state, all[i]) end
    end
  end
  return found
end
local function raised(version)
  return { version, now - tonumber(redis.call('HGET', state, 'since')), nodes() }
end
`;

/** prefix, key, least version, token, ms of the lease. @returns a hit, or the version for a load and the right to it */
const read = `
local key, least, token, leaseMs = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local version = clock(0)
local entry = redis.call('HMGET', P .. 'e:' .. key, 'v', 'x', 't', 'd')
local stale = false
if entry[1] and isValid(tonumber(entry[1]), entry[3], least) then
  if tonumber(entry[2]) > now then return { 'hit', tonumber(entry[2]) - now, entry[4], entry[3] } end
  stale = true
end
local granted = redis.call('SET', P .. 'l:' .. key, token, 'NX', 'PX', leaseMs)
return { granted and 'load' or 'wait', version, stale and entry[4], stale and entry[3] }
`;

/** prefix, key, token, version, ms of freshness, ms of the entry, names, text, size, most bytes */
const store = `
local key, token, version = ARGV[2], ARGV[3], tonumber(ARGV[4])
local size, most = tonumber(ARGV[9]), tonumber(ARGV[10])
if redis.call('GET', P .. 'l:' .. key) == token then redis.call('DEL', P .. 'l:' .. key) end
local current = redis.call('HGET', state, 'clock')
if not current or version > tonumber(current) or not isValid(version, ARGV[7], 0) then return { 'fenced', 0 } end
local other = redis.call('HGET', P .. 'e:' .. key, 'v')
if other and tonumber(other) > version then return { 'newer', 0 } end
remove(key)
local keep = tonumber(ARGV[6])
redis.call('HSET', P .. 'e:' .. key, 'v', ARGV[4], 'x', plain(now + tonumber(ARGV[5])), 't', ARGV[7], 'd', ARGV[8], 'b', size)
redis.call('PEXPIRE', P .. 'e:' .. key, keep)
redis.call('ZADD', index, plain(now + keep), plain(size) .. '|' .. key)
local bytes = redis.call('HINCRBY', state, 'bytes', size)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. plain(now), 'LIMIT', 0, 20)) do uncount(member) end
local evicted = 0
while bytes > most and evicted < 100 do
  local member = redis.call('ZRANGE', index, 0, 0)[1]
  if not member then break end
  redis.call('DEL', P .. 'e:' .. string.match(member, '^%d+|(.*)$'))
  uncount(member)
  evicted = evicted + 1
  bytes = tonumber(redis.call('HGET', state, 'bytes'))
end
return { 'stored', evicted }
`;

/** prefix, key, token, ms; 0 ms ends the lease */
const lease = `
local name = P .. 'l:' .. ARGV[2]
if redis.call('GET', name) ~= ARGV[3] then return 0 end
if ARGV[4] == '0' then return redis.call('DEL', name) end
return redis.call('PEXPIRE', name, ARGV[4])
`;

/** prefix, channel, payload, then for each name: the name, ms of its fence, and 1 if it is a key */
const invalidate = `
local version = clock(1)
for i = 4, #ARGV, 3 do
  redis.call('SET', P .. 'f:' .. ARGV[i], plain(version), 'PX', ARGV[i + 1])
  if ARGV[i + 2] == '1' then
    remove(ARGV[i])
    redis.call('DEL', P .. 'l:' .. ARGV[i])
  end
end
redis.call('PUBLISH', ARGV[2], plain(version) .. '\\n' .. ARGV[3])
return raised(version)
`;

/** prefix, channel, payload */
const clear = `
local version = clock(1)
redis.call('HSET', state, 'floor', plain(version))
redis.call('PUBLISH', ARGV[2], plain(version) .. '\\n' .. ARGV[3])
return raised(version)
`;

/** prefix, channel, payload, node, ms of the node, and 1 to raise the version: values from before differ from later ones */
const join = `
local version = clock(tonumber(ARGV[6]))
redis.call('HSET', state, 'n:' .. ARGV[4], plain(now + tonumber(ARGV[5])))
if ARGV[6] == '0' then return version end
redis.call('PUBLISH', ARGV[2], plain(version) .. '\\n' .. ARGV[3])
return version
`;

/** prefix, channel of the node, payload, node, ms of the node */
const beat = `
local version = clock(0)
redis.call('HSET', state, 'n:' .. ARGV[4], plain(now + tonumber(ARGV[5])))
redis.call('PUBLISH', ARGV[2], plain(version) .. '\\n' .. ARGV[3])
return version
`;

/** prefix, node */
const leave = `return redis.call('HDEL', state, 'n:' .. ARGV[2])`;

/** prefix */
const sizes = `
clock(0)
return { redis.call('ZCARD', index), tonumber(redis.call('HGET', state, 'bytes')), nodes() }
`;

export type Seen =
  | readonly ['hit', remainingMs: number, text: string, names: string]
  | readonly ['load' | 'wait', version: number, staleText: string | null, staleNames: string | null];
export type Raised = readonly [version: number, sinceMs: number, nodes: readonly string[]];

type Argument = string | number;

export interface CacheCommands {
  parleyCacheRead(...args: Argument[]): Promise<Seen>;
  parleyCacheStore(...args: Argument[]): Promise<readonly ['stored' | 'fenced' | 'newer', evicted: number]>;
  parleyCacheLease(...args: Argument[]): Promise<number>;
  parleyCacheInvalidate(...args: Argument[]): Promise<Raised>;
  parleyCacheClear(...args: Argument[]): Promise<Raised>;
  parleyCacheJoin(...args: Argument[]): Promise<number>;
  parleyCacheBeat(...args: Argument[]): Promise<number>;
  parleyCacheLeave(...args: Argument[]): Promise<number>;
  parleyCacheSizes(...args: Argument[]): Promise<readonly [entries: number, bytes: number, nodes: readonly string[]]>;
  publish(channel: string, message: string): Promise<number>;
}

const scripts = {
  parleyCacheRead: read,
  parleyCacheStore: store,
  parleyCacheLease: lease,
  parleyCacheInvalidate: invalidate,
  parleyCacheClear: clear,
  parleyCacheJoin: join,
  parleyCacheBeat: beat,
  parleyCacheLeave: leave,
  parleyCacheSizes: sizes,
} as const;

/** No script takes keys as such: their names follow from the prefix, and Parley uses no Redis Cluster. */
export function cacheCommands(link: RedisLink): CacheCommands {
  for (const [name, lua] of Object.entries(scripts))
    link.commands.defineCommand(name, { numberOfKeys: 0, lua: common + lua });
  return link.commands as unknown as CacheCommands;
}
