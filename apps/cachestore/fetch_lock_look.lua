-- Looks at a fetch lock and at the entries that it is about, and takes the lock where it is free.
--
-- KEYS: lock, entries. ARGV: a new token, milliseconds, whether to want the lock although an entry is there (1 or 0), the
-- prefix of the worker's tokens. Returns {lock or '', milliseconds of a pass, the entries' values}.

local lock = redis.call('GET', KEYS[1])
local values, absent = {}, true
if #KEYS > 1 then
  values = redis.call('MGET', unpack(KEYS, 2))
  for _, value in ipairs(values) do if value then absent = false end end
end
local wanting = absent or ARGV[3] == '1'
if not lock then
  if not wanting then return {'', 0, values} end
  lock = 'L' .. ARGV[1]
  redis.call('SET', KEYS[1], lock, 'PX', ARGV[2])
  return {lock, 0, values}
end
local state = string.sub(lock, 1, 1)
if state == 'P' then return {lock, redis.call('PTTL', KEYS[1]), values} end
if wanting and state == 'L' and string.sub(lock, 2, #ARGV[4] + 1) ~= ARGV[4] then
  redis.call('SET', KEYS[1], 'W' .. string.sub(lock, 2), 'KEEPTTL')
end
return {lock, 0, values}
