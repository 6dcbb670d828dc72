-- Stores the definition of an endpoint. Answers 1 once it is stored; 0 if deliveries of the
-- endpoint's former life are still to be cancelled, and the call is to be repeated.
local id = take()
local fields = { 'definition', take(), 'enabled', take(), 'rps', take(), 'burst', take(),
  'per_request', take() }
local at = key('endpoint', id)
local e = endpoint(id)
if e and e.deleted and e.counts.ready + e.counts.scheduled > 0 then
  cancel_waiting(e, 500)
  flush()
  return { 0 }
end
redis.call('HSET', at, unpack(fields))
if fields[6] == '' then redis.call('HDEL', at, 'rps', 'burst') end
if e and e.deleted then
  redis.call('HDEL', at, 'deleted_at', 'deleted_by', 'paused', 'disabled', 'held_until',
    'max_leased', 'failing_since')
  redis.call('ZREM', key('tombstones'), id)
elseif fields[4] == '1' then
  redis.call('HDEL', at, 'disabled')
end
redis.call('ZREM', key('holds'), id)
touch(id)
if e then
  reload(e)
  e.admit = true
end
flush()
return { 1 }
