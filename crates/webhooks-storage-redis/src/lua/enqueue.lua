-- Stores the deliveries of events. What is there already stays as it is, so that a call can be
-- sent again. Answers per event: {0, ids of those without endpoint}, {1, first event, its ids}, or {2}
-- for a part of a fan-out that is not there.
local worker, window = take(), tonumber(take())
local total = take()
local seq = redis.call('INCRBY', key('seq'), total) - total

-- Which events are there already. Only of these may there be deliveries.
local there = {}
local function look_up(sent)
  local keys, found = {}, 0
  for i, event in ipairs(sent) do keys[i] = event.at end
  for i = 1, #keys, 4000 do
    found = found + redis.call('EXISTS', unpack(keys, i, math.min(i + 3999, #keys)))
  end
  -- Hardly ever is there any, and then one call has told so.
  if found == 0 then return end
  for _, event in ipairs(sent) do
    there[event.at] = redis.call('EXISTS', event.at) == 1
    if there[event.at] then
      local ids = {}
      for i, d in ipairs(event.deliveries) do ids[i] = d.id end
      read_rows(ids)
    end
  end
end

local function make(event, d)
  local e = endpoint(d.endpoint)
  seq = seq + 1
  local state, token, holder = tonumber(event.due) > now_ms and 'scheduled' or 'ready', '0', ''
  if d.lease == '1' and worker ~= '' then
    state, token, holder = 'leased', '1', worker
    know(worker)
  else
    put(sorted, key('waiting'), d.id, '0')
  end
  local made = { id = d.id, state = state, endpoint = d.endpoint, event = event.id,
    priority = event.priority, due = event.due, attempts = '0', max_retries = event.max_retries,
    crashes = '0', token = token, worker = holder, reason = '', updated = now, erased = '',
    incarnation = e.incarnation, by_name = d.by_name, settled = '', seq = string.format('%016d', seq), sort = event.sort, sent = event.created }
  keep(made)
  put(sorted, key('of', d.endpoint), d.id, '0')
  put_tenant(event.tenant, d.id, '0')
  count(e, 'enqueued', 1)
  enter(made, e)
end

local function keep_event(event, made)
  local at, deliveries = key('deliveries', event.id), table.concat(made, ' ')
  -- Also where it is there: its payload went if all that read it were erased.
  texts[event.at] = event.text
  if there[event.at] then
    redis.call('APPEND', at, ' ' .. deliveries)
  elseif texts[at] then
    texts[at] = texts[at] .. ' ' .. deliveries
  else
    texts[at] = deliveries
  end
end

-- The answer that was given for this idempotency key before, to another event.
local function first_send(event)
  local v = redis.call('HMGET', key('key', event.key), 'event', 'at')
  if v[1] and v[1] ~= event.id and tonumber(v[2]) + window > now_ms then
    return { 1, v[1], ids_of_key(event.key) }
  end
end

local function keep_key(event, ids)
  local at = key('key', event.key)
  if event.part.is_later then
    keep_more(event.key, event.id, event.part.from, table.concat(ids, ' '))
    return
  end
  redis.call('HSET', at, 'event', event.id, 'ids', table.concat(ids, ' '), 'at', now)
  redis.call('PEXPIRE', at, window + 3600000)
end

local function enqueue(event)
  if event.part.is_later then
    if not has_fan_out(event.id) then return { 2 } end
    move_fan_out(event.id, event.part)
  elseif event.key ~= '' then
    local first = first_send(event)
    if first then return first end
  end
  local missing, ids, made = {}, {}, {}
  for _, d in ipairs(event.deliveries) do
    local e = endpoint(d.endpoint)
    if rows[d.id] or there[event.at] and row(d.id) then
      ids[#ids + 1] = d.id
    elseif e and not e.deleted and (d.incarnation == '' or d.incarnation == e.incarnation) then
      make(event, d)
      made[#made + 1] = d.id
      ids[#ids + 1] = d.id
    else
      missing[#missing + 1] = d.id
    end
  end
  if #made > 0 then keep_event(event, made) end
  if event.key ~= '' then keep_key(event, ids) end
  if event.part.is_first and event.part.up_to ~= '' then
    begin_fan_out(event.id, event.part, event.text, event.part.up_to)
  end
  return { 0, table.concat(missing, ' ') }
end

local sent = {}
for i = 1, tonumber(take()) do
  local event = { id = take(), text = take(), created = take(), priority = take(), sort = take(),
    due = take(), max_retries = take(), key = take(), part = take_part(), deliveries = {} }
  event.at = key('event', event.id)
  event.tenant = select(3, string.match(event.text, HEAD))
  for n = 1, tonumber(take()) do
    event.deliveries[n] = { id = take(), endpoint = take(), incarnation = take(), by_name = take(),
      lease = take() }
  end
  sent[i] = event
end
look_up(sent)
local answers = {}
for i, event in ipairs(sent) do answers[i] = enqueue(event) end
flush()
return answers
