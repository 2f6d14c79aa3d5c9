-- Writes parts and records of an incarnation that no worker reads yet. It stands after state_write.lua. Returns whether the
-- caller still is the one who refills.
--
-- KEYS: refiller, parts, records... ARGV: token, milliseconds, number of parts, names and values, values of records.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
write(3, 4, KEYS[2], tonumber(ARGV[3]))
return 1
