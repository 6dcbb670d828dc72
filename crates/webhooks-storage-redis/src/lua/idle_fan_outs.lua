-- Fan-outs of which no part was stored since a time. Answers their id, head, event, and the endpoint up
-- to which they are stored.
local most, answer = take(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('fan_outs'), '-inf', now, 'LIMIT', 0, most)) do
  local v = redis.call('HMGET', key('fan_out', id), 'head', 'event', 'up_to')
  if v[1] then
    answer[#answer + 1] = id
    for i = 1, 3 do answer[#answer + 1] = v[i] end
  else
    -- Without noeviction the server may have dropped it.
    redis.call('ZREM', key('fan_outs'), id)
  end
end
return answer
