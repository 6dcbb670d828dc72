-- Notes that these events were erased in other partitions, for as long as somebody may send them again.
write_when_full()
for _ = 1, tonumber(take()) do
  local id = take()
  if redis.call('EXISTS', key('event', id)) == 0 then
    redis.call('SET', key('erased', id), '')
    redis.call('PEXPIRE', key('erased', id), 86400000)
  end
end
return { 1 }
