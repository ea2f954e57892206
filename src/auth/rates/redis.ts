import type { RedisLink } from '../../storage/redis.ts';
import { windowParts, type Rate, type Rates, type Taken } from './rates.ts';

/**
 * A key is a hash from parts of time to counts: at most 21 short fields, gone one window after the last hit. The clock is
 * Redis' own, so nodes need not agree on theirs.
 */
const script = `
local cost, limit, window, always = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = math.floor(window / ${windowParts})
local current = math.floor(now / length)
local sum, parts = 0, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local part, count = tonumber(all[i]), tonumber(all[i + 1])
  if part < current - ${windowParts} then
    redis.call('HDEL', KEYS[1], all[i])
  else
    sum = sum + count
    parts[#parts + 1] = { part, count }
  end
end
local counts = cost > 0 and (always or sum + cost <= limit)
if counts then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), cost)
  redis.call('PEXPIRE', KEYS[1], window + length)
  sum = sum + cost
  parts[#parts + 1] = { current, cost }
end
local wanted = always and 1 or cost
local remaining = math.max(0, limit - sum)
if (always and sum + wanted <= limit) or (not always and (counts or cost == 0)) then return { 1, remaining, 0 } end
table.sort(parts, function(a, b) return a[1] < b[1] end)
local freed = 0
for _, part in ipairs(parts) do
  freed = freed + part[2]
  if sum - freed + wanted <= limit then return { 0, remaining, (part[1] + ${windowParts} + 1) * length - now } end
end
return { 0, remaining, window }
`;

interface Commands {
  parleyRate(
    key: string,
    cost: number,
    limit: number,
    windowMs: number,
    always: 0 | 1,
  ): Promise<[number, number, number]>;
}

/** The form for several nodes. Rejects while Redis is away. */
export class RedisRates implements Rates {
  readonly #commands: Commands;
  readonly #prefix: string;

  constructor(link: RedisLink, prefix: string) {
    link.commands.defineCommand('parleyRate', { numberOfKeys: 1, lua: script });
    this.#commands = link.commands as unknown as Commands;
    this.#prefix = `${prefix}rate:`;
  }

  take(key: string, cost: number, rate: Rate): Promise<Taken> {
    return this.#count(key, cost, rate, 0);
  }

  record(key: string, cost: number, rate: Rate): Promise<Taken> {
    return this.#count(key, cost, rate, 1);
  }

  async #count(key: string, cost: number, { limit, windowMs }: Rate, always: 0 | 1): Promise<Taken> {
    const [allowed, remaining, resetMs] = await this.#commands.parleyRate(
      this.#prefix + key,
      cost,
      limit,
      windowMs,
      always,
    );
    return { allowed: allowed === 1, remaining, resetMs };
  }
}
