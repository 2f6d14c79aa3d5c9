-- Readers go over to the new incarnation with this; purged tags are dropped because everything stored before is dead. It
-- stands after events_append.lua. Returns whether the caller still is the one who refills.
--
-- KEYS: refiller, epoch, events, purged tags, mistrust, purge clock. ARGV: token, incarnation, epoch, proof, a purge clock,
-- edition.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('TIME')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('HSET', KEYS[2], 'incarnation', ARGV[2], 'n', ARGV[3], 'step', 0, 'seq', 0, 'at', 0,
           'proof', ARGV[4], 'filled', now[1], 'edition', ARGV[6])
if tonumber(redis.call('GET', KEYS[6]) or '0') < tonumber(ARGV[5]) then redis.call('SET', KEYS[6], ARGV[5]) end
append(KEYS[2], KEYS[3], {'kind', 'refill', 'n', ARGV[3]})
return 1
