-- Stores what came of leased deliveries. Answers per settlement: 0 applied, 1 cancelled, 2 stale.
--
-- Each settlement carries the number of its request, and the delivery keeps the last one: the same
-- request sent again gets the same answer, and changes nothing more.
local worker = take()
-- The first fields of a delivery: those that tell whether it is held, and how often it was tried.
local HELD = 5

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
  local d = row(s.id, HELD)
  local held = d and d.state == 'leased' and d.worker == worker and d.token == s.token
  if not held then
    d = row(s.id)
    if d and d.settled == s.request then return d.state == 'cancelled' and 1 or 0 end
    if d then log(s, false) end
    return 2
  end
  log(s, true)
  local e = endpoint(d.endpoint)
  local attempts = d.attempts
  if s.attempt ~= '' then attempts = string.format('%d', attempts + 1) end
  if s.as == 'delivered' then
    move(d, e, 'delivered', 'attempts', attempts, 'settled', s.request)
    return 0
  elseif s.as == 'dead' then
    move(d, e, 'dead', 'attempts', attempts, 'settled', s.request, 'reason', s.at)
    return 0
  end
  d = row(s.id)
  if d.erased or e.deleted then
    move(d, e, 'cancelled', 'attempts', attempts, 'settled', s.request)
    return 1
  end
  wait_until(d, e, s.at, 'attempts', attempts, 'settled', s.request)
  return 0
end

local answers = {}
for i = 1, tonumber(take()) do
  answers[i] = settle({ id = take(), token = take(), request = take(), as = take(), at = take(),
    attempt = take(), started = take() })
end
flush()
return answers
