-- Brings a change to Redis, if that still is as it was read. It stands after events_append.lua, purges_note.lua and
-- state_write.lua. Returns whether it was.
--
-- KEYS: epoch, events, parts, purge clock, purged tags, records... ARGV: incarnation, epoch and step as read; the new epoch
-- (empty: a step of many); number of parts, number of tags; names and values of the parts; values of the records; tags;
-- fields of the event. Empty values delete.
--
-- The purge of what was stored under a right that is gone comes after the change that took the right: nothing can be
-- stored under it any more when the purge gets its number.

local at = redis.call('HMGET', KEYS[1], 'incarnation', 'n', 'step')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] or (at[3] or '0') ~= ARGV[3] then return 0 end
local rest = write(6, 7, KEYS[3], tonumber(ARGV[5]))
if ARGV[4] == '' then
  redis.call('HINCRBY', KEYS[1], 'step', 1)
else
  local last = rest + tonumber(ARGV[6])
  redis.call('HSET', KEYS[1], 'n', ARGV[4], 'step', 0)
  append(KEYS[1], KEYS[2], {unpack(ARGV, last)})
  if last > rest then
    purge(KEYS[1], KEYS[2], KEYS[4], KEYS[5], '0', redis.call('TIME')[1], {unpack(ARGV, rest, last - 1)})
  end
end
return 1
