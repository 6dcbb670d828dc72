-- Lists deliveries. Answers {rows, events, where to go on or ''}.
local most, with_attempts = tonumber(take()), take() == '1'
local rows, events, seen = {}, {}, {}
local next_before = scan(most, function(d)
  if not seen[d.event] then
    seen[d.event] = true
    local v = redis.call('HMGET', key('event', d.event), 'type', 'tenant', 'payload', 'created')
    events[#events + 1] = { d.event, v[1], v[2] and '1' or '0', v[2] or '', v[3], v[4] }
  end
  local attempts = with_attempts and redis.call('LRANGE', key('attempts', d.id), 0, -1) or {}
  rows[#rows + 1] = { d.id, d.endpoint, d.event, d.priority, d.due, d.attempts, d.max_retries,
    d.crashes or '0', d.token, d.state, d.worker or '', d.reason or '', d.updated,
    d.erased and '1' or '0', attempts }
  return true
end)
return { rows, events, next_before }
