-- append(epoch, events, fields) adds an event and returns its id; nil when Redis holds no epoch. Scripts that tell
-- followers of a change begin with this.

local function append(epoch, events, fields)
  local at = redis.call('HMGET', epoch, 'incarnation', 'at')
  if not at[1] then return nil end
  local now = redis.call('TIME')
  now = now[1] .. string.format('%06d', now[2])
  local id = at[1] .. '-' .. redis.call('HINCRBY', epoch, 'seq', 1)
  redis.call('HSET', epoch, 'at', now)
  redis.call('XADD', events, 'MAXLEN', '~', LONGEST, id, 'at', now, 'after', at[2] or '0', unpack(fields))
  return id
end
