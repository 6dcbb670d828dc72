-- What the parts of an event made is kept with its idempotency key, each under the endpoint where the
-- part began.
local function ids_of_key(name)
  local all, ids = redis.call('HGETALL', key('key', name)), {}
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 3) == 'ids' then ids[#ids + 1] = all[i + 1] end
  end
  return table.concat(ids, ' ')
end

-- Adds what another part of the event made, unless another event has the key by now.
local function keep_more(name, event, from, ids)
  local at = key('key', name)
  if redis.call('HGET', at, 'event') == event then redis.call('HSET', at, 'ids:' .. from, ids) end
end

-- Whether two fingerprints ('' for none) stand for different things.
local function differ(one, other)
  return one and one ~= '' and other ~= '' and one ~= other
end
