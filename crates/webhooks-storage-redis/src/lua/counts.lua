-- The counts of one endpoint, or of the partition.
local id = take()
local names = { 'enqueued', 'delivered', 'dead', 'cancelled', 'purged', 'ready', 'scheduled',
  'leased' }
local out = {}
if id == '' then
  names[#names + 1] = 'suspended'
  out = redis.call('HMGET', key('counts'), unpack(names))
else
  local e = endpoint(id)
  for i, name in ipairs(names) do out[i] = e and number(e.counts[name]) or '0' end
  out[9] = e and not e.open and number(e.counts.ready + e.counts.scheduled) or '0'
end
for i = 1, 9 do out[i] = out[i] or '0' end
return out
