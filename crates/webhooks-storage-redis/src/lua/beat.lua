-- A beat of a worker, and the taking back of what dead workers hold, a bounded number at a time.
-- Answers {now, revision, rescued, lost, more to rescue, the beat before, whether a fan-out is not
-- done, endpoints to announce, ...}.
local worker, request, mode = take(), take(), take()
local silence, most, poison = tonumber(take()), tonumber(take()), tonumber(take())
local uptime = take() == '1'

-- A restart of the server must not make every worker look dead. Where it does not tell when it
-- started, a time in which nobody beat counts as one: of those that live each has then half of the
-- silence left to come back.
local started = -math.huge
local function find_start()
  local info = redis.pcall('INFO', 'server')
  local up = type(info) == 'string' and string.match(info, 'uptime_in_seconds:(%d+)')
  if up then
    started = now_ms - tonumber(up) * 1000
    return
  end
  local v = redis.call('HMGET', key('alive'), 'seen', 'since')
  local goes_on = v[1] and now_ms - tonumber(v[1]) < silence / 2
  local since = goes_on and v[2] or now
  redis.call('HSET', key('alive'), 'seen', now, 'since', since)
  started = tonumber(since)
end

local function answer(rescued, lost, more, before)
  local out = { now, redis.call('GET', key('revision')) or '0', rescued, lost, more, before or '',
    redis.call('EXISTS', key('fan_outs')) }
  local unannounced = redis.call('HSCAN', key('unannounced'), 0, 'COUNT', 100)[2]
  for i = 1, #unannounced do out[#out + 1] = unannounced[i] end
  return out
end

local function take_back(id, holder)
  local d = row(id)
  if not d or d.state ~= 'leased' or d.worker ~= holder then return 0 end
  local e, crashes = endpoint(d.endpoint), tonumber(d.crashes) + 1
  d.crashes = number(crashes)
  local reason = stranded(d, e)
  if reason then
    cancel(d, e, reason)
  elseif crashes >= poison then
    d.reason = 'poison'
    move(d, e, 'dead')
  else
    wait_until(d, e, number(math.min(tonumber(d.due), now_ms)))
  end
  return 1
end

local function rescue()
  if now_ms - started < silence then return 0, 0 end
  local rescued = 0
  local silent = redis.call('ZRANGEBYSCORE', key('workers'), '-inf', number(now_ms - silence),
    'LIMIT', 0, 20)
  for _, dead in ipairs(silent) do
    if dead ~= worker then
      redis.call('HSET', key('worker', dead), 'lost', 1)
      redis.call('PEXPIRE', key('worker', dead), 172800000)
      local ids = redis.call('SPOP', key('leased', dead), most - rescued)
      read_rows(ids)
      for _, id in ipairs(ids) do
        rescued = rescued + take_back(id, dead)
      end
      if redis.call('EXISTS', key('leased', dead)) == 1 then return rescued, 1 end
      redis.call('ZADD', key('given_up'), redis.call('ZSCORE', key('workers'), dead), dead)
      redis.call('ZREM', key('workers'), dead)
    end
  end
  return rescued, #silent == 20 and 1 or 0
end

if worker == '' then return answer(0, 0, 0) end
local own = key('worker', worker)
local v = redis.call('HMGET', own, 'beaten', 'lost', 'request', 'rescued', 'was_lost', 'more',
  'before')
if v[3] == request then
  return answer(tonumber(v[4]), tonumber(v[5]), tonumber(v[6]), v[7])
end
write_when_full()
if uptime then find_start() end
local before = v[1] or ''
local lost, in_a_row = 0, mode == 'on'
if mode == 'beat' then
  lost = v[2] and 1 or 0
  local last = v[1] and math.max(tonumber(v[1]), started)
  in_a_row = last and lost == 0 and now_ms - last < silence
  redis.call('HDEL', own, 'lost')
  redis.call('HSET', own, 'beaten', now, 'seen', now)
  redis.call('ZADD', key('workers'), now, worker)
  if lost == 1 then redis.call('ZREM', key('given_up'), worker) end
end
local rescued, more = 0, 0
if in_a_row then rescued, more = rescue() end
redis.call('HSET', own, 'request', request, 'rescued', rescued, 'was_lost', lost, 'more', more,
  'before', before)
redis.call('PEXPIRE', own, 172800000)
flush()
return answer(rescued, lost, more, before)
