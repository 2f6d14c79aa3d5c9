-- Lends calls of one subscription to one worker. See allowances.py for the rules.
--
-- KEYS: the subscription's hash.
-- ARGV: worker, seq, spent, remaining, refunded, idle (s), want, ttl (s), rate, burst, quota, period, need (of what is wanted, calls that
-- wait), workers (how many there are).
-- Hash: level, at, period, used, and per worker "w:ID" = "out expires spent refunded seq".
-- Returns {lent, level in thousandths, why (0 lent, 1 rate, 2 quota, 3 stale, 4 others hold what is left of the quota), ms until a call may pass, quota left, s until the quota's period ends}.

local key = KEYS[1]
local worker = 'w:' .. ARGV[1]
local seq, spent, remaining, refunded = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local idle, want, ttl = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local rate, burst, quota, period = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12]
local need, workers_alive = tonumber(ARGV[13]) or want, tonumber(ARGV[14]) or 1
local FORGET = 3600

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local fields = redis.call('HGETALL', key)
local hash, workers = {}, {}
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' then
    local out, expires, was_spent, was_refunded, was_seq = string.match(fields[i + 1], '(%S+) (%S+) (%S+) (%S+) (%S+)')
    workers[fields[i]] = {
      out = tonumber(out), expires = tonumber(expires), spent = tonumber(was_spent),
      refunded = tonumber(was_refunded), seq = tonumber(was_seq)
    }
  else
    hash[fields[i]] = fields[i + 1]
  end
end

-- A worker that Redis doesn't know any more starts anew: what it spent before was counted in what Redis lost.
local mine = workers[worker] or { out = 0, expires = now, spent = seq == 1 and 0 or spent, refunded = refunded, seq = -1 }
workers[worker] = nil
if seq <= mine.seq then
  return { 0, 0, 3, 0, 0, 0 }  -- overtaken by a later report of the same worker
end

-- Which calendar period it is (UTC), and how long it still lasts.
local day = math.floor(now / 86400)
local id, ends
if period == 'hour' then
  id = 'h' .. math.floor(now / 3600)
  ends = (math.floor(now / 3600) + 1) * 3600
elseif period == 'day' then
  id = 'd' .. day
  ends = (day + 1) * 86400
else
  -- The civil date of a day number: days are counted from 0000-03-01, in eras of 400 years.
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local date = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local leap = (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
  local length = ({ 31, leap and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 })[month]
  id = 'm' .. year .. '-' .. month
  ends = (day + length - date + 1) * 86400
end
local used = hash.period == id and tonumber(hash.used) or 0

-- What was out until now, and what was out after this worker spent its last one.
local others = 0
for _, other in pairs(workers) do others = others + other.out end
local before, after = others + mine.out, others + remaining
local level = tonumber(hash.level) or burst or 0
if rate then
  local elapsed = math.max(0, now - (tonumber(hash.at) or now))
  idle = math.max(0, math.min(idle, elapsed))
  level = math.max(level, math.min(level + (elapsed - idle) * rate, burst - before))
  level = math.max(level, math.min(level + idle * rate, burst - math.min(before, after)))
end

-- A loan that ran out counts as spent. Its worker can't spend it any more: its own clock started before ours.
local expired = mine.expires <= now
if expired then
  used = used + mine.out
  mine.spent, mine.out = mine.spent + mine.out, 0
end
local delta = spent - mine.spent
local returned = mine.out - delta - remaining
if expired then returned = math.min(0, returned) end  -- what refilled in its place must not come back twice
used = math.max(0, used + delta - (refunded - mine.refunded))

local outstanding = remaining
for name, other in pairs(workers) do
  if other.expires <= now and other.out > 0 then
    used = used + other.out
    other.spent, other.out = other.spent + other.out, 0
    redis.call('HSET', key, name, string.format('%d %.3f %d %d %d', other.out, other.expires, other.spent, other.refunded, other.seq))
  elseif other.expires + FORGET <= now then
    redis.call('HDEL', key, name)
  end
  outstanding = outstanding + other.out
end

local allowed, why, wait = want, 0, 0
if rate then
  level = math.max(0, math.min(level + returned, burst - outstanding))
  local whole = math.floor(level + 0.000001)
  if whole < allowed then allowed = whole end
  if whole < 1 then why, wait = 1, (1 - level) / rate end
end
local left = -1
if quota then
  left = math.max(0, quota - used - outstanding)
  -- What one worker has in advance the others lack: the nearer the end, the less that is.
  local fair = math.max(need, math.floor(left / (2 * workers_alive)))
  allowed = math.min(allowed, left, fair)
  if left < 1 then
    why, wait = 2, ends - now
    if outstanding > remaining then why, wait = 4, ttl end
  end
end
local lent = math.max(0, math.min(want, allowed))
if lent > 0 then why, wait = 0, 0 end
if rate then level = level - lent end
if quota then left = left - lent end

redis.call('HSET', key, 'level', string.format('%.6f', level), 'at', string.format('%.6f', now), 'period', id, 'used', string.format('%d', used),
  worker, string.format('%d %.3f %d %d %d', remaining + lent, now + ttl, spent, refunded, seq))
local life = FORGET
if rate then life = math.max(life, burst / rate * 2) end
if quota then life = math.max(life, ends - now + FORGET) end
redis.call('EXPIRE', key, math.ceil(life))
return { lent, math.floor(level * 1000), why, math.ceil(wait * 1000), left, math.ceil(ends - now) }
