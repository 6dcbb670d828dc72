-- Looks through deliveries that match a query, newest first by id, a bounded number at a time.
local function given_list()
  if take() ~= '1' then return nil end
  local list = {}
  for i = 1, tonumber(take()) do list[i] = take() end
  return list
end
local function given_set()
  local set, list = {}, given_list()
  for _, member in ipairs(list or {}) do set[member] = true end
  return list and set, list
end
q.event, q.ids = given(), given_list()
q.endpoints, q.endpoint_list = given_set()
q.states, q.reasons, q.failures = given_set(), given_set(), given_set()
q.status, q.updated_from = given(), tonumber(given() or nil)
q.updated_before, q.before = tonumber(given() or nil), given()
local CHUNK = 200
-- The most endpoints whose deliveries are gone through one by one.
local MOST_LISTS = 50

local function has_status(d)
  if q.status == 'none' then return d.status == '' and d.failure ~= '' end
  if string.sub(q.status, 2) ~= 'xx' then return d.status == q.status end
  return #d.status == 3 and string.sub(d.status, 1, 1) == string.sub(q.status, 1, 1)
end

local function matches(d)
  -- What this script made go is still what it was.
  if q.states and not q.states[d.was or d.state] then return false end
  if q.endpoints and not q.endpoints[d.endpoint] then return false end
  if q.event and d.event ~= q.event then return false end
  if q.reasons and not (d.state == 'dead' and q.reasons[d.reason]) then return false end
  if q.failures and not q.failures[d.failure] then return false end
  if q.status and not has_status(d) then return false end
  local updated = tonumber(d.was_updated or d.updated)
  if q.updated_from and updated < q.updated_from then return false end
  if q.updated_before and updated >= q.updated_before then return false end
  return not by_event or takes(head_of(d.event))
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

-- A list that holds all that can match, where one is given.
local function given_ids()
  if q.ids then return q.ids end
  if not q.event then return nil end
  q.ids = sort_down(ids_of_event(q.event))
  return q.ids
end

-- The smallest set of indexes that holds everything that can match, and whether what is leased is
-- to be looked at besides.
local function indexes()
  local wanted, size = {}, 0
  for _, index in ipairs({ 'waiting', 'dead', 'ended' }) do
    for state in pairs(INDEX) do
      if INDEX[state] == index and (not q.states or q.states[state]) then
        wanted[#wanted + 1] = key(index)
        size = size + redis.call('ZCARD', key(index))
        break
      end
    end
  end
  local smallest
  local function compare(lists)
    local all = 0
    for _, at in ipairs(lists) do all = all + redis.call('ZCARD', at) end
    if all <= size then smallest, size = lists, all end
  end
  if q.tenant then compare({ key('tenant', q.tenant) }) end
  if q.endpoints and #q.endpoint_list <= MOST_LISTS then
    local lists = {}
    for i, id in ipairs(q.endpoint_list) do lists[i] = key('of', id) end
    compare(lists)
  end
  if smallest then return smallest, false end
  return wanted, not q.states or q.states.leased
end

-- Up to a chunk of ids below `before` in falling order, and whether there are no more.
local function chunk(before)
  local list = given_ids()
  if list then
    local ids = part_of(list, before, CHUNK)
    return ids, #ids < CHUNK
  end
  local ids, floor, from = {}, '', before and '(' .. before or '+'
  local wanted, with_leased = indexes()
  -- Of many lists little each.
  local most = math.max(20, math.floor(CHUNK / math.max(#wanted, 1)))
  local function add(part)
    for _, id in ipairs(part) do ids[#ids + 1] = id end
    -- Below the last id of a full part this source may have more.
    if #part == most and part[most] > floor then floor = part[most] end
  end
  for _, index in ipairs(wanted) do
    add(redis.call('ZREVRANGEBYLEX', index, from, '-', 'LIMIT', 0, most))
  end
  if with_leased then add(part_of(leased_ids(), before, most)) end
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
