-- Looks through deliveries that match a query, newest first by id, a bounded number at a time.
local function given()
  if take() == '1' then return take() end
end
local q = { id = given(), event = given(), endpoint = given(), type = given(), tenant = given(),
  from = given(), to = given(), updated = given(), before = given(), states = {} }
for _ = 1, tonumber(take()) do q.states[take()] = true end
local any_state = next(q.states) == nil
local CHUNK = 200

local function matches(d)
  if not (any_state or q.states[d.state]) then return false end
  if q.endpoint and d.endpoint ~= q.endpoint then return false end
  if q.event and d.event ~= q.event then return false end
  if q.updated and tonumber(d.updated) >= tonumber(q.updated) then return false end
  if not (q.type or q.tenant or q.from or q.to) then return true end
  local kind, created, tenant = unpack(head_of(d.event))
  if q.type and kind ~= q.type then return false end
  if q.tenant and tenant ~= q.tenant then return false end
  created = tonumber(created)
  -- Without noeviction the server may have dropped the event.
  if not created then return false end
  return not (q.from and created < tonumber(q.from)) and not (q.to and created >= tonumber(q.to))
end

-- Ids, newest first.
local function sort_down(ids)
  table.sort(ids, function(a, b) return a > b end)
  return ids
end

-- What is leased is in no index.
local leased
local function leased_ids()
  if leased then return leased end
  leased = {}
  for _, worker in ipairs(redis.call('ZRANGE', key('workers'), 0, -1)) do
    for _, id in ipairs(redis.call('SMEMBERS', key('leased', worker))) do
      leased[#leased + 1] = id
    end
  end
  return sort_down(leased)
end

local of_event
local function event_ids()
  if of_event then return of_event end
  of_event = {}
  local listed = redis.call('GET', key('deliveries', q.event)) or ''
  -- What was made again after it was removed is in there twice.
  local seen = {}
  for id in string.gmatch(listed, '%S+') do
    if not seen[id] then of_event[#of_event + 1], seen[id] = id, true end
  end
  return sort_down(of_event)
end

-- The smallest set of indexes that holds everything that can match, and whether what is leased is
-- to be looked at besides.
local function indexes()
  local wanted, size = {}, 0
  for _, index in ipairs({ 'waiting', 'dead', 'ended' }) do
    for state in pairs(INDEX) do
      if INDEX[state] == index and (any_state or q.states[state]) then
        wanted[#wanted + 1] = key(index)
        size = size + redis.call('ZCARD', key(index))
        break
      end
    end
  end
  local smallest
  for kind, of in pairs({ of = q.endpoint, tenant = q.tenant }) do
    local all = redis.call('ZCARD', key(kind, of))
    if all <= size then smallest, size = key(kind, of), all end
  end
  if smallest then return { smallest }, false end
  return wanted, any_state or q.states.leased
end

-- Up to a chunk of those of a list in falling order that are below `before`.
local function part_of(list, before)
  local out = {}
  for _, id in ipairs(list) do
    if #out == CHUNK then break end
    if not before or id < before then out[#out + 1] = id end
  end
  return out
end

-- Up to a chunk of ids below `before` in falling order, and whether there are no more.
local function chunk(before)
  if q.id then
    local out = {}
    if not before or q.id < before then out[1] = q.id end
    return out, true
  end
  local ids, floor = {}, ''
  local function add(part)
    for _, id in ipairs(part) do ids[#ids + 1] = id end
    -- Below the last id of a full chunk this source may have more.
    if #part == CHUNK and part[CHUNK] > floor then floor = part[CHUNK] end
  end
  if q.event then
    add(part_of(event_ids(), before))
  else
    local from = before and '(' .. before or '+'
    local wanted, with_leased = indexes()
    for _, index in ipairs(wanted) do
      add(redis.call('ZREVRANGEBYLEX', index, from, '-', 'LIMIT', 0, CHUNK))
    end
    if with_leased then add(part_of(leased_ids(), before)) end
  end
  sort_down(ids)
  while #ids > 0 and ids[#ids] < floor do ids[#ids] = nil end
  return ids, floor == ''
end

-- Calls `visit` for up to `most` rows for which it returns true. Answers where to go on, or ''.
local function scan(most, visit)
  local before, found, looked = q.before, 0, 0
  while looked < 1000 do
    local ids, last = chunk(before)
    read_rows(ids)
    for _, id in ipairs(ids) do
      if found >= most then return before or id end
      before, looked = id, looked + 1
      local d = row(id)
      if d and matches(d) and visit(d) then found = found + 1 end
    end
    if last then return '' end
  end
  return before
end
