-- Takes changes off the list that were announced.
for _ = 1, tonumber(take()) do
  local id, seen = take(), take()
  if redis.call('HGET', key('unannounced'), id) == seen then
    redis.call('HDEL', key('unannounced'), id)
  end
end
return { 1 }
