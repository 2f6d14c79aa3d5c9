-- Purges tags. It stands after events_append.lua and purges_note.lua.
--
-- KEYS: epoch, events, purge clock, purged tags. ARGV: soft (0 or 1), Unix seconds, tags. Returns {clock, rows}.

if not redis.call('HGET', KEYS[1], 'incarnation') then
  return redis.error_reply('NOEPOCH the state is empty: it is about to be written anew')
end
local clock = purge(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], {unpack(ARGV, 3)})
return {clock, redis.call('HLEN', KEYS[4])}
