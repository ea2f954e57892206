/**
 * The keys of presence in Redis, and the scripts that change them; each script is atomic. Behind the prefix:
 *
 * | key                           | kind  | holds                                        | gone after              |
 * | ----------------------------- | ----- | -------------------------------------------- | ----------------------- |
 * | `presence:nodes`              | zset  | incarnations by their last heartbeat         | an hour without any     |
 * | `presence:node:<incarnation>` | set   | users with connections there                 | an hour without it      |
 * | `presence:user:<user>`        | set   | incarnations with connections of the user    | an hour, renewed before |
 * | `presence:seen:<user>`        | text  | when they were last there, ms since 1970     | 30 days                 |
 *
 * An incarnation is a run of a node: `<name>/<random>`. One that was silent for `deadMs` is dead for good, whatever it
 * does later: other nodes only remove its users. The clock is Redis's own. Changes go out on the channel `presence`, from within the
 * script that makes them, as JSON `[[user, 1], [user, 0, lastSeen, agoMs], …]`.
 *
 * Redis may lose any of the keys. Therefore an incarnation that `presence:nodes` does not have counts for nobody, and each
 * node compares its users with both sets (`parleyPresenceVerify`).
 *
 * The keys of a script are made in it, so on a Redis Cluster the prefix needs a hash tag.
 */
import type { Redis } from 'ioredis';

export const deadMs = 8000;
const keyTtlMs = 3_600_000;
export const seenTtlMs = 30 * 24 * 3_600_000;

/** ARGV[1] is the prefix. `alive` is false for incarnations that are unknown or dead. */
const common = `
local prefix = ARGV[1] .. 'presence:'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function alive(incarnation)
  local score = redis.call('ZSCORE', prefix .. 'nodes', incarnation)
  return score and now - tonumber(score) <= ${deadMs}
end
local changes = {}
local known = {}
local function present(user, clean)
  local key = prefix .. 'user:' .. user
  for _, incarnation in ipairs(redis.call('SMEMBERS', key)) do
    if known[incarnation] == nil then
      known[incarnation] = redis.call('ZSCORE', prefix .. 'nodes', incarnation) and true or false
    end
    if known[incarnation] then return 1 end
    if clean then redis.call('SREM', key, incarnation) end
  end
  return 0
end
local function gone(user, incarnation, seen)
  local had = redis.call('SREM', prefix .. 'user:' .. user, incarnation) == 1
  if present(user) == 1 then return end
  if not had and redis.call('EXISTS', prefix .. 'seen:' .. user) == 1 then return end
  redis.call('SET', prefix .. 'seen:' .. user, string.format('%.0f', seen), 'PX', ${seenTtlMs})
  changes[#changes + 1] = {user, 0, seen, now - seen}
end
local function publish()
  if #changes > 0 then redis.call('PUBLISH', ARGV[1] .. 'presence', cjson.encode(changes)) end
end
`;

const scripts = {
  /** prefix, incarnation: begins it. */
  parleyPresenceJoin: `${common}
redis.call('ZADD', prefix .. 'nodes', now, ARGV[2])
redis.call('PEXPIRE', prefix .. 'nodes', ${keyTtlMs})
return 1`,

  /** prefix, incarnation → false if it is dead, else the incarnations that are. */
  parleyPresenceBeat: `${common}
if not alive(ARGV[2]) then return false end
redis.call('ZADD', prefix .. 'nodes', now, ARGV[2])
redis.call('PEXPIRE', prefix .. 'nodes', ${keyTtlMs})
redis.call('PEXPIRE', prefix .. 'node:' .. ARGV[2], ${keyTtlMs})
return redis.call('ZRANGEBYSCORE', prefix .. 'nodes', '-inf', '(' .. (now - ${deadMs}), 'LIMIT', 0, 16)`,

  /** prefix, incarnation, then pairs: user, '1' here or '0' not → 0 if it is dead. Doing it twice changes nothing. */
  parleyPresenceSet: `${common}
if not alive(ARGV[2]) then return 0 end
local node = prefix .. 'node:' .. ARGV[2]
for i = 3, #ARGV, 2 do
  local user = ARGV[i]
  if ARGV[i + 1] == '1' then
    local key = prefix .. 'user:' .. user
    local first = present(user, true) == 0
    redis.call('SADD', key, ARGV[2])
    redis.call('PEXPIRE', key, ${keyTtlMs})
    redis.call('SADD', node, user)
    if first then changes[#changes + 1] = {user, 1} end
  else
    redis.call('SREM', node, user)
    gone(user, ARGV[2], now)
  end
end
redis.call('PEXPIRE', node, ${keyTtlMs})
publish()
return 1`,

  /**
   * prefix, incarnation, users → the number of users in the node's set, then the places (from 1) of missing users. A user is
   * missing without a place in the node's set, or without this incarnation in the user's set. Changes nothing.
   */
  parleyPresenceVerify: `${common}
local node = prefix .. 'node:' .. ARGV[2]
local answer = {redis.call('SCARD', node)}
for i = 3, #ARGV do
  local there = redis.call('SISMEMBER', node, ARGV[i]) + redis.call('SISMEMBER', prefix .. 'user:' .. ARGV[i], ARGV[2])
  if there < 2 then answer[#answer + 1] = i - 2 end
end
return answer`,

  /** prefix, incarnation, batch: takes so many users off a dead one → how many there were. */
  parleyPresenceBury: `${common}
local score = redis.call('ZSCORE', prefix .. 'nodes', ARGV[2])
if not score or now - tonumber(score) <= ${deadMs} then return 0 end
local users = redis.call('SPOP', prefix .. 'node:' .. ARGV[2], ARGV[3])
for _, user in ipairs(users) do gone(user, ARGV[2], tonumber(score)) end
if #users < tonumber(ARGV[3]) then redis.call('ZREM', prefix .. 'nodes', ARGV[2]) end
publish()
return #users`,

  /** prefix, incarnation: ends it; its users have been taken off. */
  parleyPresenceLeave: `${common}
redis.call('ZREM', prefix .. 'nodes', ARGV[2])
redis.call('DEL', prefix .. 'node:' .. ARGV[2])
return 1`,

  /** prefix, users → pairs: 1 and '', or 0 and when they were last seen ('' if unknown); at the end the time. */
  parleyPresenceRead: `${common}
local answer = {}
for i = 2, #ARGV do
  local there = present(ARGV[i])
  answer[#answer + 1] = there
  answer[#answer + 1] = there == 0 and redis.call('GET', prefix .. 'seen:' .. ARGV[i]) or ''
end
answer[#answer + 1] = now
return answer`,
} as const;

export type PresenceScripts = Record<keyof typeof scripts, (...args: (string | number)[]) => Promise<unknown>>;

/** The scripts as commands of the client; each is sent whole only where Redis does not know it. */
export function definePresenceScripts(redis: Redis): PresenceScripts {
  for (const [name, lua] of Object.entries(scripts)) redis.defineCommand(name, { numberOfKeys: 0, lua });
  return redis as unknown as PresenceScripts;
}

/** Incarnations that live: name and random part. */
export async function liveNodes(redis: Redis, prefix: string): Promise<string[]> {
  const [seconds] = await redis.time();
  return redis.zrangebyscore(`${prefix}presence:nodes`, Number(seconds) * 1000 - deadMs, '+inf');
}
