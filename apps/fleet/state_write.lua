-- write(first_key, first_value, parts_key, parts) writes so many parts, and records under the keys from first_key on; it
-- returns the place in ARGV behind their values. Empty values delete.

local function write(first_key, first_value, parts_key, parts)
  local at = first_value
  for _ = 1, parts do
    if ARGV[at + 1] == '' then redis.call('HDEL', parts_key, ARGV[at])
    else redis.call('HSET', parts_key, ARGV[at], ARGV[at + 1]) end
    at = at + 2
  end
  for key = first_key, #KEYS do
    if ARGV[at] == '' then redis.call('DEL', KEYS[key]) else redis.call('SET', KEYS[key], ARGV[at]) end
    at = at + 1
  end
  return at
end
