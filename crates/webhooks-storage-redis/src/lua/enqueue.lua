-- Stores the deliveries of events. What is there already stays as it is, so that a call can be
-- sent again. Answers per event: {0, ids of those without endpoint} or {1, first event, its ids}.
local worker, window = take(), tonumber(take())
local total = take()
local seq = redis.call('INCRBY', key('seq'), total) - total

-- Which of the keys to be written are there already.
local there = {}
local function look_up(keys)
  local found = 0
  for i = 1, #keys, 4000 do
    found = found + redis.call('EXISTS', unpack(keys, i, math.min(i + 3999, #keys)))
  end
  -- Hardly ever is there any, and then one call has told so.
  if found == 0 then return end
  for _, at in ipairs(keys) do there[at] = redis.call('EXISTS', at) == 1 end
end

local function make(event, d)
  local e = endpoint(d.endpoint)
  seq = seq + 1
  d.seq = string.format('%016d', seq)
  d.sort, d.due = event.sort, event.due
  d.state = tonumber(d.due) > now_ms and 'scheduled' or 'ready'
  local token = '0'
  if d.lease == '1' and worker ~= '' then
    d.state, d.worker, token = 'leased', worker, '1'
    know(worker)
  end
  redis.call('HSET', d.at, 'state', d.state, 'endpoint', d.endpoint, 'token', token,
    'worker', d.worker or '', 'attempts', '0', 'event', event.id, 'seq', d.seq,
    'sort', event.sort, 'due', event.due, 'priority', event.priority,
    'max_retries', event.max_retries, 'updated', now, 'sent', event.created)
  there[d.at] = true
  if d.state ~= 'leased' then put(sorted, key('waiting'), d.id, '0') end
  put(sorted, key('of', d.endpoint), d.id, '0')
  count(e, 'enqueued', 1)
  enter(d, e)
end

local function keep_event(event, made)
  local deliveries = table.concat(made, ' ')
  if there[event.at] then
    local before = redis.call('HGET', event.at, 'deliveries')
    if before then deliveries = before .. ' ' .. deliveries end
    redis.call('HSET', event.at, 'deliveries', deliveries)
    return
  end
  there[event.at] = true
  redis.call('HSET', event.at, 'type', event.type, 'created', event.created,
    'deliveries', deliveries, 'payload', event.payload)
  if event.tenant then redis.call('HSET', event.at, 'tenant', event.tenant) end
end

-- The answer that was given for this idempotency key before, to another event.
local function first_send(event)
  local v = redis.call('HMGET', key('key', event.key), 'event', 'ids', 'at')
  if v[1] and v[1] ~= event.id and tonumber(v[3]) + window > now_ms then
    return { 1, v[1], v[2] }
  end
end

local function keep_key(event, ids)
  local at = key('key', event.key)
  redis.call('HSET', at, 'event', event.id, 'ids', table.concat(ids, ' '), 'at', now)
  redis.call('PEXPIRE', at, window + 3600000)
end

local function enqueue(event)
  if event.key ~= '' then
    local first = first_send(event)
    if first then return first end
  end
  local missing, ids, made = {}, {}, {}
  for _, d in ipairs(event.deliveries) do
    local e = endpoint(d.endpoint)
    if there[d.at] then
      ids[#ids + 1] = d.id
    elseif e and not e.deleted then
      make(event, d)
      made[#made + 1] = d.id
      ids[#ids + 1] = d.id
    else
      missing[#missing + 1] = d.id
    end
  end
  if #made > 0 then keep_event(event, made) end
  if event.key ~= '' then keep_key(event, ids) end
  return { 0, table.concat(missing, ' ') }
end

local events, keys = {}, {}
for i = 1, tonumber(take()) do
  local event = { id = take(), type = take(), tenant = take() == '1' and take() or nil,
    payload = take(), created = take(), priority = take(), sort = take(), due = take(),
    max_retries = take(), key = take(), deliveries = {} }
  event.at = key('event', event.id)
  keys[#keys + 1] = event.at
  for n = 1, tonumber(take()) do
    local d = { id = take(), endpoint = take(), lease = take() }
    d.at = key('delivery', d.id)
    keys[#keys + 1] = d.at
    event.deliveries[n] = d
  end
  events[i] = event
end
look_up(keys)
local answers = {}
for i, event in ipairs(events) do answers[i] = enqueue(event) end
flush()
return answers
