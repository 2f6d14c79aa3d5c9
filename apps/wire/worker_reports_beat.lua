-- Records what a worker reports and returns where the event stream is.
--
-- KEYS: workers, epoch. ARGV: the worker ('': nothing is recorded), its report. Returns {incarnation, seq, at, n, proof, how
-- many workers there are}.

if ARGV[1] ~= '' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000)) .. ' ' .. ARGV[2])
end
local at = redis.call('HMGET', KEYS[2], 'incarnation', 'seq', 'at', 'n', 'proof')
at[6] = redis.call('HLEN', KEYS[1])
return at
