-- Replaces the definition of an endpoint, if it is still as it was read. Answers whether it was.
local at, old, new = key('endpoint', take()), take(), take()
if redis.call('HGET', at, 'definition') ~= old then return { 0 } end
redis.call('HSET', at, 'definition', new)
return { 1 }
