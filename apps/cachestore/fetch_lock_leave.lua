-- Gives a fetch lock up, or leaves word there for those who wait, if it still is the holder's. Returns whether it was.
--
-- KEYS: lock. ARGV: token, the letter to leave there ('' frees it), milliseconds (0 leaves the lease as it is).

local lock = redis.call('GET', KEYS[1])
if not lock or string.sub(lock, 2) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1], 'PX', ARGV[3]) end
return 1
