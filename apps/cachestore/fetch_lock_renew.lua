-- Renews those of a worker's fetch locks that still are its own.
--
-- KEYS: locks. ARGV: milliseconds, then the token of each.

for index, name in ipairs(KEYS) do
  local lock = redis.call('GET', name)
  if lock and string.sub(lock, 2) == ARGV[index + 1] then redis.call('PEXPIRE', name, ARGV[1]) end
end
return #KEYS
