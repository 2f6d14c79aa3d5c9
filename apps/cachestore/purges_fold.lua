-- Folds old purges into one row, the floor, and returns its clock.
--
-- KEYS: purged tags. ARGV: the floor's row, the clock up to which rows fold, Unix seconds, the tags of those rows.

local rows, floor_row, cutoff = KEYS[1], ARGV[1], tonumber(ARGV[2])
local function newest(row)
  local hard_clock, soft_clock = string.match(row, '^(%d+) (%d+)')
  return math.max(tonumber(hard_clock), tonumber(soft_clock))
end
local floor = cutoff
local present = redis.call('HGET', rows, floor_row)
if present then floor = math.max(floor, newest(present)) end
redis.call('HSET', rows, floor_row, floor .. ' 0 ' .. ARGV[3])
for index = 4, #ARGV do
  local row = redis.call('HGET', rows, ARGV[index])
  if row and newest(row) <= cutoff then redis.call('HDEL', rows, ARGV[index]) end
end
return floor
