-- Cancels what waits for an earlier incarnation of an endpoint, a bounded number at a time. A claim
-- would do it too, but only for what it meets. Answers {place, offset} to go on from, or {'', 0}.
local id, place, offset = take(), take(), tonumber(take())
local FOLLOWING = { blocked = 'ready', ready = 'suspect', suspect = 'scheduled' }
local MOST = 250
local e = endpoint(id)
if not e then return { '', 0 } end
write_when_full()
local members = redis.call('ZRANGE', key(place, id), offset, offset + MOST - 1)
read_rows(ids_of(members))
for _, member in ipairs(members) do
  local d = row(string.sub(member, -36))
  if d and d.incarnation ~= e.incarnation then
    cancel(d, e, e.deleted and 'endpoint_deleted' or 'endpoint_replaced')
  else
    offset = offset + 1
  end
end
flush()
if #members == MOST then return { place, offset } end
return { FOLLOWING[place] or '', 0 }
