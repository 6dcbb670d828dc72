-- Takes changes off the list that were announced.
for _ = 1, tonumber(take()) do
  local change, seen = take(), take()
  if redis.call('HGET', key('unannounced'), change) == seen then
    redis.call('HDEL', key('unannounced'), change)
  end
end
return { 1 }
