-- Writes entries to the shared tier and keeps the books; ledger.py says what they are.
--
-- KEYS: a fetch lock (or anything), entries. ARGV: prefix of the books, Unix seconds, the account's number, tenant, API
-- and caller, the bounds of the API, the tenant and everything in bytes (0: none), the token under which the lock must be
-- held (nothing: it doesn't matter), and of each entry the value (nothing: it is deleted), its life in milliseconds, its
-- size in units, and for a row of siblings its score (then the value is added to a sorted set). Returns how many were
-- written; -1: nothing was touched, the lock is no longer held.

local prefix, now, number, tenant, api, caller = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local guard = ARGV[10]
if guard ~= '' then
  local lock = redis.call('GET', KEYS[1])
  if not lock or string.sub(lock, 2) ~= guard then return -1 end
  redis.call('DEL', KEYS[1])
end
local tenants, accounts, sums = prefix .. 'tenants', prefix .. 'accounts', prefix .. 'sums'
local left = MOST_EVICTIONS
local known = {[number] = {tenant, api}}

local function size_in(score) return score % SHIFT * UNIT end

local function add(key, member, bytes)
  local sum = tonumber(redis.call('ZINCRBY', key, bytes, member))
  if sum <= 0 then redis.call('ZREM', key, member) end
  return sum
end

local function charge(whose, bytes)
  local path = known[whose]
  if not path then
    local found = redis.call('HGET', accounts, whose)
    if not found then return end
    path = {string.match(found, '^([^\n]*)\n([^\n]*)')}
    known[whose] = path
  end
  if add(prefix .. 'callers:' .. path[1] .. '/' .. path[2], whose, bytes) <= 0 then
    redis.call('HDEL', accounts, whose)
  end
  add(prefix .. 'apis:' .. path[1], path[2], bytes)
  add(tenants, path[1], bytes)
  redis.call('HINCRBY', sums, 'bytes', bytes)
end

local function forget(whose, name)
  local score = redis.call('ZSCORE', prefix .. 'of:' .. whose, name)
  if score then
    redis.call('ZREM', prefix .. 'of:' .. whose, name)
    charge(whose, -size_in(tonumber(score)))
  end
end

-- Whose entry it is; false for a set of siblings, which is many accounts' together.
local function owner_of(name)
  local header = redis.pcall('GETRANGE', name, 0, HEADER - 1)
  if type(header) == 'table' then return false end
  if string.len(header) == HEADER and string.byte(header) == 1 then return string.sub(header, 2) end
end

local function evict(whose, names)
  local queue, spared = prefix .. 'of:' .. whose, 0
  while true do
    local oldest = redis.call('ZPOPMIN', queue)
    local name, score = oldest[1], tonumber(oldest[2])
    if not name then
      charge(whose, -(tonumber(redis.call('ZSCORE', names, whose)) or 0))
      return
    end
    local uses = redis.pcall('OBJECT', 'FREQ', name)
    local owner = owner_of(name)
    if owner == false then
      redis.call('UNLINK', name)
      charge(whose, -size_in(score))
      return
    end
    if owner ~= whose then
      charge(whose, -size_in(score))
      return
    end
    if spared < SPARED and type(uses) == 'number' and uses > 5 then
      spared = spared + 1
      redis.call('ZADD', queue, string.format('%.0f', now * SHIFT + score % SHIFT), name)
    else
      redis.call('UNLINK', name)
      charge(whose, -size_in(score))
      redis.call('HINCRBY', sums, 'evictions', 1)
      redis.call('HINCRBY', prefix .. 'evictions', known[whose][1] .. '/' .. known[whose][2], 1)
      return
    end
  end
end

local function largest(key) return redis.call('ZREVRANGE', key, 0, 0)[1] end

local function bytes_of(key, member) return tonumber(redis.call('ZSCORE', key, member)) or 0 end

local function may_go_on()
  left = left - 1
  return left >= 0
end

local function strike(of_tenant, of_api, bytes)
  if bytes == 0 then return end
  if of_api then add(prefix .. 'apis:' .. of_tenant, of_api, -bytes) end
  add(tenants, of_tenant, -bytes)
  redis.call('HINCRBY', sums, 'bytes', -bytes)
end

-- A page that the server lost leaves sums above it that nothing accounts for: they are struck out as soon as nothing
-- else is below them.
local function evict_from(of_tenant, of_api)
  local apis, from, names, whose
  if of_tenant then
    apis = prefix .. 'apis:' .. of_tenant
    from = of_api or largest(apis)
  end
  if from then
    names = prefix .. 'callers:' .. of_tenant .. '/' .. from
    whose = largest(names)
  end
  if whose then
    known[whose] = {of_tenant, from}
    evict(whose, names)
  end
  if from and redis.call('EXISTS', names) == 0 then strike(of_tenant, from, bytes_of(apis, from)) end
  if of_tenant and redis.call('EXISTS', apis) == 0 then strike(of_tenant, nil, bytes_of(tenants, of_tenant)) end
  if redis.call('EXISTS', tenants) == 0 then redis.call('HSET', sums, 'bytes', 0) end
end

local queue, written, bytes = prefix .. 'of:' .. number, 0, 0
for index = 2, #KEYS do
  local name = KEYS[index]
  forget(number, name)
  local before = owner_of(name)
  if before and before ~= number then forget(before, name) end
  local at = 11 + (index - 2) * 4
  local value, milliseconds, units, score = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if value == '' then
    redis.call('UNLINK', name)
  else
    if score == '' then
      redis.call('SET', name, value, 'PX', milliseconds)
      written = written + 1
    else
      redis.call('ZADD', name, score, value)
      redis.call('ZREMRANGEBYRANK', name, 0, -SIBLINGS - 1)
      -- It lives as long as the longest of its rows: the first is for a new set, the second for an old one.
      redis.call('PEXPIRE', name, milliseconds, 'NX')
      redis.call('PEXPIRE', name, milliseconds, 'GT')
      units = units * redis.call('ZCARD', name)
    end
    redis.call('ZADD', queue, string.format('%.0f', now * SHIFT + units), name)
    bytes = bytes + units * UNIT
  end
end
if written == 0 then return 0 end
redis.call('HSET', accounts, number, tenant .. '\n' .. api .. '\n' .. caller)
charge(number, bytes)
local chance = redis.call('ZRANDMEMBER', queue, 4)
for _, name in ipairs(chance) do
  if redis.call('EXISTS', name) == 0 then forget(number, name) end
end
local of_api, of_tenant, of_all = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
if of_api > 0 then
  while may_go_on() and bytes_of(prefix .. 'apis:' .. tenant, api) > of_api do evict_from(tenant, api) end
end
if of_tenant > 0 then
  while may_go_on() and bytes_of(tenants, tenant) > of_tenant do evict_from(tenant) end
end
if of_all > 0 then
  while may_go_on() and tonumber(redis.call('HGET', sums, 'bytes') or 0) > of_all do evict_from(largest(tenants)) end
end
return written
