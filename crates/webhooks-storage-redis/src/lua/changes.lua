-- What a change by hand does to a delivery: whether it applies to it.
local to, most, request = take(), tonumber(take()), take()
local sort = { take(), take(), take(), take() }
local answer_key = key('answer', request)
local CHANGES = {}

-- The log of what was delivered at once is filed by the sweep, which finds it among what ended.
local function file_log(d)
  local line = redis.call('LINDEX', key('attempts', d.id), 0)
  if line then put(sorted, key('log'), d.id, string.match(line, 'at=(%-?%d+)')) end
end

local function send_again(d, e)
  if stranded(d, e) then return false end
  leave(d, e)
  if d.state == 'delivered' or d.state == 'cancelled' then
    count(e, d.state, -1)
    file_log(d)
  end
  put(sorted, key(INDEX[d.state]), d.id, false)
  d.seq = string.format('%016d', redis.call('INCR', key('seq')))
  d.state, d.sort = 'ready', sort[tonumber(d.priority) + 1]
  d.due, d.sent, d.updated, d.attempts, d.crashes = now, now, now, '0', '0'
  d.reason, d.status, d.failure = '', '', ''
  -- What holds its order is still its head.
  if d.order ~= '' and d.place == '' and not stand_in_order(d) then d.state = 'blocked' end
  keep(d)
  put(sorted, key('waiting'), d.id, '0')
  enter(d, e)
  return true
end

function CHANGES.replay(d, e) return d.state == 'dead' and send_again(d, e) end

function CHANGES.resend(d, e)
  local index = INDEX[d.state]
  return (index == 'dead' or index == 'ended') and send_again(d, e)
end

function CHANGES.cancel(d, e)
  if INDEX[d.state] ~= 'waiting' then return false end
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
  if all_of(d.event, 'unread') then empty_event(d.event) end
  if INDEX[d.state] == 'waiting' then
    cancel(d, e, 'erased')
  elseif d.state == 'dead' and d.place ~= '' then
    leave_order(d, e, true)
  end
  return true
end

-- What this request was answered before.
local known = redis.call('HMGET', answer_key, 'changed', 'next', 'emptied')
if known[1] then return { tonumber(known[1]), known[2], known[3] } end

-- To send again is work that is added.
if to ~= 'replay' and to ~= 'resend' then write_when_full() end

local function answer(changed, next_before)
  local ids = table.concat(emptied, ' ')
  redis.call('HSET', answer_key, 'changed', changed, 'next', next_before, 'emptied', ids)
  redis.call('PEXPIRE', answer_key, 60000)
  flush()
  return { changed, next_before, ids }
end
