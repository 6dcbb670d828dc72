-- Stores events with their deliveries. What is there already stays as it is, so that a call can be sent
-- again. Answers {the last change of a definition, ...} and per event: {0, ids of those without
-- endpoint}, {1, first event, its ids}, {2} for a part of a fan-out that is not there, or {3} for a key
-- that stands for something else.
local worker, window = take(), tonumber(take())
local total, is_only = take(), take() == '1'
local seq = redis.call('INCRBY', key('seq'), total) - total

-- Looks which events are there already. Only of these may there be deliveries. With several partitions
-- others may have had an event and erased it, of which nothing more is made.
local function look_up(sent)
  local keys, found = {}, 0
  for i, event in ipairs(sent) do keys[i] = key('event', event.id) end
  if not is_only then
    for _, event in ipairs(sent) do keys[#keys + 1] = key('erased', event.id) end
  end
  for i = 1, #keys, 4000 do
    found = found + redis.call('EXISTS', unpack(keys, i, math.min(i + 3999, #keys)))
  end
  -- Hardly ever is there any, and then one call has told so.
  if found == 0 then return end
  for i, event in ipairs(sent) do
    event.is_erased = not is_only and redis.call('EXISTS', key('erased', event.id)) == 1
    if redis.call('EXISTS', keys[i]) == 1 then
      there[event.id] = 'stored'
      event.is_erased = payload_bytes(event.id) == 0
      local ids = {}
      for n, d in ipairs(event.deliveries) do ids[n] = d.id end
      read_rows(ids)
    end
  end
end

-- The answer that was given for this idempotency key before, to another event.
local function first_send(event)
  local v = redis.call('HMGET', key('key', event.key), 'event', 'at', 'print')
  if v[1] and v[1] ~= event.id and tonumber(v[2]) + window > now_ms then
    if differ(v[3], event.print) then return { 3 } end
    return { 1, v[1], ids_of_key(event.key) }
  end
end

local function keep_key(event, ids)
  local at = key('key', event.key)
  if event.part.is_later then
    keep_more(event.key, event.id, event.part.from, table.concat(ids, ' '))
    return
  end
  redis.call('HSET', at, 'event', event.id, 'ids', table.concat(ids, ' '), 'at', now, 'print',
    event.print)
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
    if rows[d.id] or there[event.id] and row(d.id) then
      ids[#ids + 1] = d.id
    elseif has_endpoint(d) and not event.is_erased then
      seq = seq + 1
      make(event, d, seq, worker)
      made[#made + 1] = d.id
      ids[#ids + 1] = d.id
    else
      missing[#missing + 1] = d.id
    end
  end
  local begins = event.part.is_first and event.part.up_to ~= ''
  if #made > 0 or (event.keeps or begins) and not event.is_erased then keep_event(event, made) end
  if event.key ~= '' then keep_key(event, ids) end
  if begins then begin_fan_out(event.id, event.part, event.text, event.part.up_to) end
  return { 0, table.concat(missing, ' ') }
end

local sent = {}
for i = 1, tonumber(take()) do
  local id, text = take(), take()
  local event = event_of(id, text, { string.match(text, HEAD) })
  event.sort, event.keeps, event.key = take(), take() == '1', take()
  if event.key ~= '' then event.print = take() end
  event.part, event.deliveries = take_part(), {}
  for n = 1, tonumber(take()) do event.deliveries[n] = take_delivery() end
  sent[i] = event
end
look_up(sent)
local answers = { redis.call('GET', key('definitions')) or '0' }
for i, event in ipairs(sent) do answers[i + 1] = enqueue(event) end
flush()
return answers
