-- Keeps what the events of claimed idempotency keys became, once they are stored.
write_when_full()
for _ = 1, tonumber(take()) do
  local name, event, ids = take(), take(), take()
  local at = key('key', name)
  if redis.call('HGET', at, 'event') == event then redis.call('HSET', at, 'ids', ids) end
end
return { 1 }
