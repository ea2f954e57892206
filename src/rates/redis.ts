import { randomBytes } from 'node:crypto';
import type { RedisLink } from '../storage/redis.ts';
import { certainOf, partsOf, type Hits, type Rate, type Rates, type Taken } from './rates.ts';

/**
 * A key is a hash from `<part of time>:<node>` to counts: at most one short field more than parts for each node with the user. Redis deletes
 * the key one window after the last hit. The clock is Redis' own, so nodes need not agree on theirs. The last number of the answer is
 * what this node has counted. After the sixth argument come pairs of age and count, which take the place of that.
 */
const script = `
local cost, limit, window, always = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local node, count = ARGV[5], tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = math.floor(window / count)
local current = math.floor(now / length)
local sum, own, parts = 0, 0, {}
local function field(part) return string.format('%.0f', part) .. ':' .. node end
local function add(part, hits, mine)
  sum = sum + hits
  if mine then own = own + hits end
  parts[#parts + 1] = { part, hits }
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local part, owner = string.match(all[i], '^(%d+):(.*)$')
  part = tonumber(part)
  if part == nil or part < current - count or (#ARGV > 6 and owner == node) then
    redis.call('HDEL', KEYS[1], all[i])
  else
    add(part, tonumber(all[i + 1]), owner == node)
  end
end
for i = 7, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], field(current - tonumber(ARGV[i])), ARGV[i + 1])
  add(current - tonumber(ARGV[i]), tonumber(ARGV[i + 1]), true)
end
local counts = cost > 0 and (always or sum + cost <= limit)
if counts then
  redis.call('HINCRBY', KEYS[1], field(current), cost)
  add(current, cost, true)
end
if counts or #ARGV > 6 then redis.call('PEXPIRE', KEYS[1], window + length) end
local wanted = always and 1 or cost
local remaining = math.max(0, limit - sum)
if (always and sum + wanted <= limit) or (not always and (counts or cost == 0)) then return { 1, remaining, 0, own } end
table.sort(parts, function(a, b) return a[1] < b[1] end)
local freed = 0
for _, part in ipairs(parts) do
  freed = freed + part[2]
  if sum - freed + wanted <= limit then return { 0, remaining, (part[1] + count + 1) * length - now, own } end
end
return { 0, remaining, window, own }
`;

type Answer = [allowed: number, remaining: number, resetMs: number, own: number];

interface Commands {
  parleyRate(key: string, ...args: (string | number)[]): Promise<Answer>;
}

/** The form for several nodes. Rejects while Redis is unavailable. */
export class RedisRates implements Rates {
  readonly #commands: Commands;
  readonly #prefix: string;
  readonly #node = randomBytes(6).toString('base64url');

  constructor(link: RedisLink, prefix: string) {
    link.commands.defineCommand('parleyRate', { numberOfKeys: 1, lua: script });
    this.#commands = link.commands as unknown as Commands;
    this.#prefix = `${prefix}rates:`;
  }

  async take(key: string, cost: number, rate: Rate): Promise<Taken> {
    return takenOf(await this.#count(key, cost, rate, 0));
  }

  async record(key: string, cost: number, rate: Rate, earlier: readonly Hits[] = []): Promise<Taken> {
    const answer = await this.#count(key, cost, rate, 1);
    if (answer[3] - cost >= certainOf(earlier, rate)) return takenOf(answer);
    const hits = cost > 0 ? [...earlier, { age: 0, count: cost }] : earlier;
    return takenOf(await this.#count(key, 0, rate, 1, hits));
  }

  #count(key: string, cost: number, rate: Rate, always: 0 | 1, hits: readonly Hits[] = []): Promise<Answer> {
    const { limit, windowMs } = rate;
    const pairs = hits.flatMap(({ age, count }) => [age, count]);
    return this.#commands.parleyRate(
      this.#prefix + key,
      cost,
      limit,
      windowMs,
      always,
      this.#node,
      partsOf(rate),
      ...pairs,
    );
  }
}

function takenOf([allowed, remaining, resetMs]: Answer): Taken {
  return { allowed: allowed === 1, remaining, resetMs };
}
