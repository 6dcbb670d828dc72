-- Lists deliveries. Answers {rows, events, where to go on or ''}: each row as its id, its text and
-- its attempts, each event as its id and its text.
local most, with_attempts = tonumber(take()), take() == '1'
local listed, events = {}, {}
local next_before = scan(most, function(d)
  events[d.event] = true
  local attempts = with_attempts and redis.call('LRANGE', key('attempts', d.id), 0, -1) or {}
  local n = #listed
  listed[n + 1], listed[n + 2], listed[n + 3] = d.id, text_of(d), attempts
  return true
end)
return { listed, texts_of_events(events), next_before }
