-- Deletes an endpoint and cancels what waits for it, a bounded number at a time. Answers
-- {whether it was there, whether to repeat the call with the same request}.
local id, request = take(), take()
local e = endpoint(id)
if not e then return { 0, 0 } end
local at = key('endpoint', id)
write_when_full()
if e.deleted then
  if redis.call('HGET', at, 'deleted_by') ~= request then return { 0, 0 } end
else
  -- Only the id is still needed; the secrets go at once.
  redis.call('HSET', at, 'definition', '', 'enabled', '0', 'deleted_at', now, 'deleted_by',
    request, 'per_request', '1')
  redis.call('HDEL', at, 'paused', 'disabled', 'held_until', 'max_leased', 'failing_since', 'rps',
    'burst', 'tat', 'tenant', 'defined', 'saved_by',
    'batch_wait', 'since')
  redis.call('ZADD', key('tombstones'), now, id)
  redis.call('ZREM', key('holds'), id)
  redis.call('ZREM', key('filling'), id)
  redis.call('ZREM', key('turns'), id)
  touch(id)
  reload(e)
end
cancel_waiting(e, 250)
local more = e.counts.ready + e.counts.scheduled > 0 and 1 or 0
flush()
return { 1, more }
