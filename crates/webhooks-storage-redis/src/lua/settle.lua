-- Stores what came of leased deliveries. Answers per settlement: 0 applied, 1 cancelled, 2 stale.
--
-- Each settlement carries the number of its request, and the delivery keeps the last one: the same
-- request sent again gets the same answer, and changes nothing more.
local worker = take()

local function log(s, d, held)
  if s.attempt == '' or not d then return end
  redis.call('RPUSH', key('attempts', d.id), (held and '' or 'ambiguous ') .. s.attempt)
  redis.call('LTRIM', key('attempts', d.id), -1000, -1)
  redis.call('ZADD', key('log'), 'NX', s.started, d.id)
end

local function settle(s)
  local d = row(s.id)
  if d and d.settled == s.request then return d.state == 'cancelled' and 1 or 0 end
  local held = d and d.state == 'leased' and d.worker == worker and d.token == s.token
  log(s, d, held)
  if not held then return 2 end
  local e = endpoint(d.endpoint)
  local attempts = tonumber(d.attempts)
  if s.attempt ~= '' then attempts = attempts + 1 end
  if s.as == 'delivered' then
    move(d, e, 'delivered', 'attempts', attempts, 'settled', s.request)
  elseif s.as == 'dead' then
    move(d, e, 'dead', 'attempts', attempts, 'settled', s.request, 'reason', s.at)
  elseif d.erased or e.deleted then
    move(d, e, 'cancelled', 'attempts', attempts, 'settled', s.request)
    return 1
  else
    wait_until(d, e, s.at, 'attempts', attempts, 'settled', s.request)
  end
  return 0
end

local answers = {}
for i = 1, tonumber(take()) do
  answers[i] = settle({ id = take(), token = take(), request = take(), as = take(), at = take(),
    attempt = take(), started = take() })
end
flush()
return answers
