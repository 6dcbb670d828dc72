-- What deliveries have in common that match. Answers {list, where to go on or ''}: of each its id,
-- endpoint, reason if it is dead, last failure, and the type of its event if that is asked for.
local most, with_type = tonumber(take()), take() == '1'
local found = {}
local next_before = scan(most, function(d)
  local n = #found
  found[n + 1], found[n + 2] = d.id, d.endpoint
  found[n + 3], found[n + 4] = d.state == 'dead' and d.reason or '', d.failure
  found[n + 5] = with_type and head_of(d.event)[1] or ''
  return true
end)
return { found, next_before }
