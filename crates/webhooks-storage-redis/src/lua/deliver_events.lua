-- Makes one more delivery of each of some events, as if they were sent now. Answers per delivery: {0}
-- stored, {1, id} the event has one to the endpoint, {2} no endpoint, {3} no event here, {4} its payload
-- is erased here. With its text an event is kept here first, from another partition.
local sort = { take(), take(), take(), take() }
local made_to = {}

-- The delivery of an event to an endpoint in the incarnation that is there, if there is one.
local function known(event, d)
  local e, slot = endpoint(d.endpoint), event.id .. ' ' .. d.endpoint
  if made_to[slot] then return made_to[slot] end
  if there[event.id] == 'new' then return nil end
  local ids, at = ids_of_event(event.id), key('of', d.endpoint)
  for i = 1, #ids, 1000 do
    local last = math.min(i + 999, #ids)
    local scores = redis.call('ZMSCORE', at, unpack(ids, i, last))
    for n = i, last do
      local of = scores[n - i + 1] and row(ids[n])
      if of and of.incarnation == e.incarnation then return of.id end
    end
  end
end

-- The event as it is here, or as another partition has it.
local function read(id, text)
  local head = head_of(id)
  if head.size then there[id] = there[id] or 'stored' end
  if text ~= '' and (not head.size or payload_bytes(id) == 0) then
    head = { string.match(text, HEAD) }
    if there[id] then texts[key('event', id)] = text end
  elseif not head.size then
    return nil
  elseif payload_bytes(id) == 0 then
    return nil, true
  end
  local event = event_of(id, text, head)
  event.sort, event.sent = sort[tonumber(event.priority) + 1], now
  if tonumber(event.due) < now_ms then event.due = now end
  return event
end

local function deliver(id, text, d)
  local event, is_erased = read(id, text)
  if not event then return { is_erased and 4 or 3 } end
  if not has_endpoint(d) then return { 2 } end
  local there_already = known(event, d)
  if there_already then return { 1, there_already } end
  -- The id may be that of another delivery, which stays what it is.
  if row(d.id) then return { 1, d.id } end
  make(event, d, redis.call('INCR', key('seq')), '')
  keep_event(event, { d.id })
  made_to[id .. ' ' .. d.endpoint] = d.id
  return { 0 }
end

local answers = {}
for i = 1, tonumber(take()) do
  local id, text = take(), take()
  answers[i] = deliver(id, text, take_delivery())
end
flush()
return answers
