-- Stores the deliveries of events. What is there already stays as it is, so that a call can be
-- sent again. Answers per event: {0, ids of those without endpoint} or {1, first event, its ids}.
local worker, window = take(), tonumber(take())
local seq = redis.call('INCRBY', key('seq'), take())

local function make(event, d)
  if redis.call('HSETNX', key('delivery', d.id), 'endpoint', d.endpoint) == 0 then return 0 end
  local e = endpoint(d.endpoint)
  d.seq = string.format('%016.0f', seq)
  seq = seq - 1
  local fields = { 'event', event.id, 'seq', d.seq, 'sort', event.sort, 'sent', event.created,
    'due', event.due, 'priority', event.priority, 'max_retries', event.max_retries,
    'attempts', '0', 'updated', now, 'token', '0' }
  d.sort, d.due = event.sort, event.due
  d.state = tonumber(d.due) > now_ms and 'scheduled' or 'ready'
  if d.lease == '1' and worker ~= '' then
    d.state, d.worker = 'leased', worker
    fields[#fields] = '1'
    fields[#fields + 1], fields[#fields + 2] = 'worker', worker
    know(worker)
  end
  redis.call('HSET', key('delivery', d.id), 'state', d.state, unpack(fields))
  redis.call('ZADD', key('waiting'), 0, d.id)
  redis.call('ZADD', key('of', d.endpoint), 0, d.id)
  redis.call('ZADD', key('events'), 0, event.id .. ':' .. d.id)
  count(e, 'enqueued', 1)
  enter(d, e)
  return 1
end

local function keep_event(event, made)
  local at = key('event', event.id)
  if redis.call('HSETNX', at, 'type', event.type) == 1 then
    redis.call('HSET', at, 'payload', event.payload, 'created', event.created)
    if event.tenant then redis.call('HSET', at, 'tenant', event.tenant) end
  end
  redis.call('HINCRBY', at, 'rows', made)
  redis.call('HINCRBY', at, 'readers', made)
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

local function enqueue(event, deliveries)
  if event.key ~= '' then
    local first = first_send(event)
    if first then return first end
  end
  local missing, ids, made = {}, {}, 0
  for _, d in ipairs(deliveries) do
    local e = endpoint(d.endpoint)
    local known = (not e or e.deleted) and redis.call('EXISTS', key('delivery', d.id)) == 1
    if known or (e and not e.deleted) then
      ids[#ids + 1] = d.id
      if not known then made = made + make(event, d) end
    else
      missing[#missing + 1] = d.id
    end
  end
  if made > 0 then keep_event(event, made) end
  if event.key ~= '' then keep_key(event, ids) end
  return { 0, table.concat(missing, ' ') }
end

local answers = {}
for i = 1, tonumber(take()) do
  local event = { id = take(), type = take(), tenant = take() == '1' and take() or nil,
    payload = take(), created = take(), priority = take(), sort = take(), due = take(),
    max_retries = take(), key = take() }
  local deliveries = {}
  for n = 1, tonumber(take()) do
    deliveries[n] = { id = take(), endpoint = take(), lease = take() }
  end
  answers[i] = enqueue(event, deliveries)
end
flush()
return answers
