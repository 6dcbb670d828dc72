-- Lists deliveries. Answers {rows, events, where to go on or ''}: each row as its id, its text and
-- its attempts, each event as its id and its text.
local most, with_attempts = tonumber(take()), take() == '1'
local found, listed = {}, {}
local next_before = scan(most, function(d)
  found[#found + 1] = d
  return true
end)
read_events(found)
for _, d in ipairs(found) do
  if events[d.event] then
    local attempts = with_attempts and redis.call('LRANGE', key('attempts', d.id), 0, -1) or {}
    local n = #listed
    listed[n + 1], listed[n + 2], listed[n + 3] = d.id, d.text, attempts
  end
end
return { listed, events_read(), next_before }
