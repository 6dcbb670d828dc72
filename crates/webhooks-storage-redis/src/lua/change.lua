-- Changes deliveries by hand. Answers {how many were changed, where to go on or ''}.
local to, most, request = take(), tonumber(take()), take()
local sort = { take(), take(), take(), take() }

local answer_key = key('answer', request)
local known = redis.call('HMGET', answer_key, 'changed', 'next')
if known[1] then return { tonumber(known[1]), known[2] } end

-- A replay is work that is added.
if to ~= 'replay' then write_when_full() end

local CHANGES = {}

function CHANGES.replay(d, e)
  if d.state ~= 'dead' or stranded(d, e) then return false end
  local seq = string.format('%016d', redis.call('INCR', key('seq')))
  leave(d, e)
  d.state, d.seq, d.sort = 'ready', seq, sort[tonumber(d.priority) + 1]
  d.due, d.sent, d.updated, d.attempts, d.crashes, d.reason = now, now, now, '0', '0', ''
  keep(d)
  put(sorted, key('dead'), d.id, false)
  put(sorted, key('waiting'), d.id, '0')
  enter(d, e)
  return true
end

function CHANGES.cancel(d, e)
  if d.state ~= 'ready' and d.state ~= 'scheduled' then return false end
  cancel(d, e, 'by_hand')
  return true
end

function CHANGES.purge(d, e)
  if d.state == 'leased' or INDEX[d.state] == 'waiting' then return false end
  if d.state == 'dead' then
    count(e, 'dead', -1)
    count(e, 'purged', 1)
  end
  remove(d)
  return true
end

function CHANGES.erase(d, e)
  if d.erased ~= '' then return false end
  d.erased = '1'
  keep(d)
  unread(d.event)
  if d.state == 'ready' or d.state == 'scheduled' then cancel(d, e, 'erased') end
  return true
end

local changed = 0
local next_before = scan(most, function(d)
  if not CHANGES[to](d, endpoint(d.endpoint)) then return false end
  changed = changed + 1
  return true
end)
redis.call('HSET', answer_key, 'changed', changed, 'next', next_before)
redis.call('PEXPIRE', answer_key, 60000)
flush()
return { changed, next_before }
