-- The counts of some endpoints, or of the partition if none is named.
local names = { 'enqueued', 'delivered', 'dead', 'cancelled', 'purged', 'blocked', 'ready',
  'scheduled', 'leased' }
local out, asked = {}, tonumber(take())
if asked == 0 then
  names[#names + 1] = 'suspended'
  out = redis.call('HMGET', key('counts'), unpack(names))
  for i = 1, #names do out[i] = out[i] or '0' end
end
for _ = 1, asked do
  local e = endpoint(take())
  for _, name in ipairs(names) do out[#out + 1] = e and number(e.counts[name]) or '0' end
  out[#out + 1] = e and not e.open and number(backlog(e)) or '0'
end
return out
