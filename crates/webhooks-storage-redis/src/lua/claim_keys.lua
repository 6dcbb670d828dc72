-- Claims idempotency keys for events whose deliveries live in several partitions, before anything
-- is stored. Answers per key: {0} claimed, {1, event, ids} stored before, {2, event} claimed by
-- another event that is not stored yet, {3} it stands for something else. `force` takes over a claim
-- that is held by that event.
local window = tonumber(take())
local answers = {}
for i = 1, tonumber(take()) do
  local name, event, print, force = take(), take(), take(), take()
  local at = key('key', name)
  local v = redis.call('HMGET', at, 'event', 'ids', 'at', 'print')
  local lives = v[1] and tonumber(v[3]) + window > now_ms
  if lives and v[1] ~= event and v[2] and differ(v[4], print) then
    answers[i] = { 3 }
  elseif lives and v[1] ~= event and v[2] then
    answers[i] = { 1, v[1], ids_of_key(name) }
  elseif lives and v[1] ~= event and v[1] ~= force then
    answers[i] = { 2, v[1] }
  else
    if not lives or v[1] ~= event then
      -- In this order, so that a full server refuses it: the event would be refused, too.
      redis.call('HSET', at, 'event', event, 'at', now, 'print', print)
      redis.call('HDEL', at, 'ids')
      redis.call('PEXPIRE', at, window + 3600000)
    end
    answers[i] = { 0 }
  end
end
return answers
