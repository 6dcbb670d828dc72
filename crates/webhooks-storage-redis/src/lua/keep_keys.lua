-- Keeps what the events of claimed idempotency keys became, once they are stored; of a part of an event,
-- what it made besides.
write_when_full()
for _ = 1, tonumber(take()) do
  local name, event, from, ids = take(), take(), take(), take()
  local at = key('key', name)
  if from ~= '' then
    keep_more(name, event, from, ids)
  elseif redis.call('HGET', at, 'event') == event then
    redis.call('HSET', at, 'ids', ids)
  end
end
return { 1 }
