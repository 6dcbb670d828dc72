-- The states of some of an event's deliveries in this partition: {id, state, ...}, for as many as are
-- listed from there on.
local id, first, most = take(), tonumber(take()), tonumber(take())
-- Their ids are of 36 bytes, with a space between two.
local listed = redis.call('GETRANGE', key('deliveries', id), first * 37, (first + most) * 37 - 2)
local ids, out = {}, {}
for of in string.gmatch(listed, '%S+') do ids[#ids + 1] = of end
read_rows(ids)
for i, of in ipairs(ids) do
  local d = row(of)
  out[2 * i - 1], out[2 * i] = of, d and d.state or ''
end
return out
