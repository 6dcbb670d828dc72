-- Stores what came of leased deliveries. Answers per settlement: 0 applied, 1 cancelled, 2 stale.
--
-- Each settlement carries the number of its request, and the delivery keeps the last one: the same
-- request sent again gets the same answer, and changes nothing more.
local worker = take()

-- The log of what is delivered is filed by the sweep, when it may be old enough to go.
local filed_to
local function is_filed_later(s)
  filed_to = filed_to or redis.call('HGET', key('sweep'), 'filed_to') or ''
  return s.as == 'delivered' and s.id > filed_to
end

local function log(s, held)
  if s.attempt == '' then return end
  local at, line = key('attempts', s.id), (held and '' or 'ambiguous ') .. s.attempt
  -- A late attempt that is sent again finds its own line.
  if not held and redis.call('LINDEX', at, -1) == line then return end
  local lines = redis.call('RPUSH', at, line)
  if lines == 1 and not (held and is_filed_later(s)) then
    put(sorted, key('log'), s.id, s.started)
  end
  if lines > 1000 then redis.call('LTRIM', at, -1000, -1) end
end

local function settle(s)
  local d = row(s.id)
  if not (d and d.state == 'leased' and d.worker == worker and d.token == s.token) then
    if d and d.settled == s.request then
      return d.state == 'cancelled' and s.as ~= 'cancelled' and 1 or 0
    end
    if d then log(s, false) end
    return 2
  end
  log(s, true)
  local e = endpoint(d.endpoint)
  d.settled = s.request
  if s.attempt ~= '' then
    d.attempts = string.format('%d', d.attempts + 1)
    d.status, d.failure = string.match(s.attempt, '^[^\n]- status=(%d*) failure=([%a_]*)')
  end
  if s.as == 'delivered' then
    move(d, e, 'delivered')
  elseif s.as == 'dead' then
    d.reason = s.at
    move(d, e, 'dead')
  elseif s.as == 'cancelled' then
    cancel(d, e, s.at)
  else
    local reason = stranded(d, e)
    if reason then
      cancel(d, e, reason)
      return 1
    end
    wait_until(d, e, s.at)
  end
  return 0
end

local settlements, ids, answers = {}, {}, {}
for i = 1, tonumber(take()) do
  local s = { id = take(), token = take(), request = take(), as = take(), at = take(),
    attempt = take(), started = take() }
  settlements[i], ids[i] = s, s.id
end
read_rows(ids)
write_when_full()
for i, s in ipairs(settlements) do answers[i] = settle(s) end
flush()
return answers
