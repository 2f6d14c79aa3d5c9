-- Writes entries to the shared tier and keeps the books; eviction.py says what they are.
--
-- KEYS: a fetch lock (or anything), entries. ARGV: prefix of the books, Unix seconds, the account's number, tenant, API
-- and caller, the bounds of the API, the tenant and everything in bytes (0: none), the token under which the lock must be
-- held (nothing: it doesn't matter), and of each entry the value (nothing: it is deleted), its life in milliseconds, its
-- size in units, and for a row of siblings its score (then the value is added to a sorted set). Returns how many were
-- written; -1: nothing was touched, the lock is no longer held.
--
-- A path leads down the books: {tenant, API, number of the account}, or the first of these, or nothing: all of it.

local prefix, now, number, tenant, api, caller = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local guard, own = ARGV[10], {tenant, api, number}
if guard ~= '' then
  local lock = redis.call('GET', KEYS[1])
  if not lock or string.sub(lock, 2) ~= guard then return -1 end
  redis.call('DEL', KEYS[1])
end
local accounts, sums = prefix .. 'accounts', prefix .. 'sums'

local function size_in(score) return score % SHIFT * UNIT end

local function queue_of(whose) return prefix .. 'of:' .. whose end

-- The set in which the first `depth` of a path have their parts.
local function set_below(path, depth)
  if depth == 0 then return prefix .. 'tenants' end
  if depth == 1 then return prefix .. 'apis:' .. path[1] end
  return prefix .. 'callers:' .. path[1] .. '/' .. path[2]
end

local function bytes_of(path, depth)
  if depth == 0 then return tonumber(redis.call('HGET', sums, 'bytes') or 0) end
  return tonumber(redis.call('ZSCORE', set_below(path, depth - 1), path[depth]) or 0)
end

-- Charges the first `depth` of a path, and everything. A page that the server lost leaves sums above it that nothing
-- accounts for: they are struck out with the last of what is below them.
local function charge(path, depth, bytes)
  local was_last = false
  for level = depth, 1, -1 do
    if was_last then bytes = -bytes_of(path, level) end
    local set, member = set_below(path, level - 1), path[level]
    was_last = false
    if tonumber(redis.call('ZINCRBY', set, bytes, member)) <= 0 then
      redis.call('ZREM', set, member)
      if level == 3 then redis.call('HDEL', accounts, member) end
      was_last = redis.call('EXISTS', set) == 0
    end
  end
  redis.call('HINCRBY', sums, 'bytes', was_last and -bytes_of(path, 0) or bytes)
end

local function forget(whose, name)
  local score = redis.call('ZSCORE', queue_of(whose), name)
  if not score then return end
  redis.call('ZREM', queue_of(whose), name)
  local known = redis.call('HGET', accounts, whose)
  if known then
    local of_tenant, of_api = string.match(known, '^([^\n]*)\n([^\n]*)')
    charge({of_tenant, of_api, whose}, 3, -size_in(score))
  end
end

-- Whose entry it is; false for a set of siblings, which is many accounts' together.
local function owner_of(name)
  local header = redis.pcall('GETRANGE', name, 0, HEADER - 1)
  if type(header) == 'table' then return false end
  if string.len(header) == HEADER and string.byte(header) == 1 then return string.sub(header, 2) end
end

-- Evicts from the largest account below the first `depth` of a path: the oldest that wasn't read lately.
local function evict_below(path, depth)
  path = {unpack(path, 1, depth)}
  while #path < 3 do
    local largest = redis.call('ZREVRANGE', set_below(path, #path), 0, 0)[1]
    if not largest then return charge(path, #path, -bytes_of(path, #path)) end
    path[#path + 1] = largest
  end
  local queue = queue_of(path[3])
  for spared = 0, SPARED do
    local name, score = unpack(redis.call('ZPOPMIN', queue))
    if not name then return charge(path, 3, -bytes_of(path, 3)) end
    -- In this order, as looking at an entry is a use of it.
    local uses, owner = redis.pcall('OBJECT', 'FREQ', name), owner_of(name)
    if owner == path[3] and spared < SPARED and type(uses) == 'number' and uses > 5 then
      redis.call('ZADD', queue, string.format('%.0f', now * SHIFT + score % SHIFT), name)
    else
      -- What is gone, or charged to another account by now, only leaves the books.
      if owner == path[3] or owner == false then redis.call('UNLINK', name) end
      if owner == path[3] then
        redis.call('HINCRBY', sums, 'evictions', 1)
        redis.call('HINCRBY', prefix .. 'evictions', path[1] .. '/' .. path[2], 1)
      end
      return charge(path, 3, -size_in(score))
    end
  end
end

local queue, written, bytes = queue_of(number), 0, 0
for index = 2, #KEYS do
  local name = KEYS[index]
  forget(number, name)
  local before = owner_of(name)
  if before and before ~= number then forget(before, name) end
  local value, milliseconds, units, score = unpack(ARGV, index * 4 + 3, index * 4 + 6)
  if value == '' then
    redis.call('UNLINK', name)
  else
    if score == '' then
      redis.call('SET', name, value, 'PX', milliseconds)
      written = written + 1
    else
      redis.call('ZADD', name, score, value)
      redis.call('ZREMRANGEBYRANK', name, 0, -SIBLINGS - 1)
      -- It lives as long as the longest of its rows.
      redis.call('PEXPIRE', name, math.max(milliseconds, redis.call('PTTL', name)))
      units = units * redis.call('ZCARD', name)
    end
    redis.call('ZADD', queue, string.format('%.0f', now * SHIFT + units), name)
    bytes = bytes + units * UNIT
  end
end
if written == 0 then return 0 end
redis.call('HSET', accounts, number, tenant .. '\n' .. api .. '\n' .. caller)
charge(own, 3, bytes)
for _, name in ipairs(redis.call('ZRANDMEMBER', queue, 4)) do
  if redis.call('EXISTS', name) == 0 then forget(number, name) end
end
local left = MOST_EVICTIONS
for depth = 2, 0, -1 do
  local bound = tonumber(ARGV[9 - depth])
  while bound > 0 and left > 0 and bytes_of(own, depth) > bound do
    evict_below(own, depth)
    left = left - 1
  end
end
return written
