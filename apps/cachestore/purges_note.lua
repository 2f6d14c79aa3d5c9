-- purge(epoch, events, clock_name, rows, soft, at, tags) takes the next number of the purge clock, writes it beside the
-- tags, appends the event, and returns it. It stands after events_append.lua.

local function purge(epoch, events, clock_name, rows, soft, at, tags)
  local clock = redis.call('INCR', clock_name)
  for _, tag in ipairs(tags) do
    local hard_clock, soft_clock = '0', '0'
    local row = redis.call('HGET', rows, tag)
    if row then hard_clock, soft_clock = string.match(row, '^(%d+) (%d+)') end
    if soft == '1' then soft_clock = clock else hard_clock = clock end
    redis.call('HSET', rows, tag, hard_clock .. ' ' .. soft_clock .. ' ' .. at)
  end
  append(epoch, events, {'kind', 'purge', 'clock', clock, 'soft', soft, 'tags', table.concat(tags, '\n')})
  return clock
end
