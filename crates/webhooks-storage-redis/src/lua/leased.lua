-- What a worker has leased, by growing id, behind one. Answers {id, endpoint, token, ...}.
local worker, after, most = take(), take(), tonumber(take())
local ids = {}
for _, id in ipairs(redis.call('SMEMBERS', key('leased', worker))) do
  if id > after then ids[#ids + 1] = id end
end
table.sort(ids)
local found = {}
for first = 1, #ids, most do
  local some = { unpack(ids, first, math.min(first + most - 1, #ids)) }
  read_rows(some)
  for _, id in ipairs(some) do
    local d, n = row(id), #found
    -- Without noeviction the server may have dropped the row.
    if d then found[n + 1], found[n + 2], found[n + 3] = id, d.endpoint, d.token end
  end
  if #found >= 3 * most then break end
end
return found
