-- Adds numbers to the minutes and hours that they belong to.
for _ = 1, tonumber(take()) do
  local id, minute, hour, text = take(), take(), take(), take()
  for kind, begin in pairs({ minute = minute, hour = hour }) do
    local at = key(kind, begin)
    local before = redis.call('HGET', at, id)
    local sums = before and text_of_numbers(add(numbers_of(before), numbers_of(text))) or text
    redis.call('HSET', at, id, sums)
    redis.call('ZADD', key(kind .. 's'), begin, begin)
  end
end
return { 1 }
