-- Reads endpoints: per id their fields, or nothing if there is none.
local out = {}
for i = 1, tonumber(take()) do
  local v = redis.call('HMGET', key('endpoint', take()), 'definition', 'enabled', 'paused',
    'disabled', 'held_until', 'max_leased', 'failing_since', 'epoch', 'deleted_at', 'defined',
    'incarnation', 'created', 'saved')
  for n = 1, 13 do v[n] = v[n] or '' end
  out[i] = v
end
return out
