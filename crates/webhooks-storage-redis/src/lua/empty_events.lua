-- Drops the payloads of these events, where none of their deliveries is here any more. Answers those that
-- still have one.
local left = {}
write_when_full()
for _ = 1, tonumber(take()) do
  local id = take()
  if payload_bytes(id) > 0 then
    if redis.call('EXISTS', key('deliveries', id)) == 0 then
      empty_event(id)
    else
      left[#left + 1] = id
    end
  end
end
return left
