-- Since when the longest waiting of those is due that are first in a queue, of a number of the endpoints
-- that have something ready: {time or '', whether there are more endpoints}.
local first, most = tonumber(take()), tonumber(take())
local oldest, more

local function look(id)
  local e = endpoint(id)
  if not e or not e.open or e.counts.ready <= 0 then return end
  local head
  for _, place in ipairs({ 'ready', 'suspect' }) do
    local v = redis.call('ZRANGE', key(place, id), 0, 0, 'WITHSCORES')
    local one = v[1] and { member = v[1], score = tonumber(v[2]) }
    if one and (not head or one.score < head.score
      or one.score == head.score and one.member < head.member) then
      head = one
    end
  end
  local d = head and row(string.sub(head.member, -36))
  if d then oldest = math.min(oldest or math.huge, tonumber(d.due)) end
end

for _, index in ipairs({ 'turns', 'holds', 'filling', 'full' }) do
  local ids = redis.call('ZRANGE', key(index), first, first + most - 1)
  for _, id in ipairs(ids) do
    local e = endpoint(id)
    if index == 'full' and not (e and is_full(e)) then
      redis.call('ZREM', key('full'), id)
    else
      look(id)
    end
  end
  more = more or #ids == most
end
-- What is due and was not made ready yet counts, too. It is filed under the first of each endpoint.
local due = redis.call('ZRANGEBYSCORE', key('due'), '-inf', now, 'WITHSCORES', 'LIMIT', first, most)
for i = 1, #due, 2 do
  local e = endpoint(due[i])
  if e and e.open then oldest = math.min(oldest or math.huge, tonumber(due[i + 1])) end
end
more = more or #due == 2 * most
return { oldest and number(oldest) or '', more and 1 or 0 }
