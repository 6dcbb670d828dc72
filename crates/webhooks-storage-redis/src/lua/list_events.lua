-- Lists events that match, newest first by id, or oldest first behind one, a bounded number at a time. Answers {list, where to go on
-- or ''}: of each its id, its text or only its head, the length of its payload, and how many of its
-- deliveries are in each state, or nothing if they are too many to be read at once.
local listed
if take() == '1' then
  listed = {}
  for i = 1, tonumber(take()) do listed[i] = take() end
end
local before, after = given(), given()
local rising = after ~= nil
local most, with_payload = tonumber(take()), take() == '1'
-- Bounds of one run: events looked at, deliveries read, bytes of payloads.
local left, reads, bytes = 1000, 2000, 4194304
local found = {}
local STATES = { 'blocked', 'ready', 'scheduled', 'leased', 'delivered', 'dead', 'cancelled' }

-- Events behind `after`, up to `before`, which match or not, and whether there are no more.
local function events_above(most)
  local ids = {}
  if listed then
    for i = #listed, 1, -1 do
      local id = listed[i]
      if id > after and not (before and id >= before) and #ids < most then ids[#ids + 1] = id end
    end
  else
    local to = before and '(' .. before or '+'
    ids = redis.call('ZRANGEBYLEX', events_at(), '(' .. after, to, 'LIMIT', 0, most)
  end
  return ids, #ids < most
end

local function next_ids(most)
  if rising then return events_above(most) end
  return events_below(before, listed, most)
end

local function go_on_from(id)
  if rising then after = id else before = id end
end

local function states(id)
  local ids = ids_of_event(id)
  if #ids > 1000 then return {} end
  reads = reads - #ids
  read_rows(ids)
  local counted, out = {}, {}
  for _, of in ipairs(ids) do
    local d = row(of)
    if d then counted[d.state] = (counted[d.state] or 0) + 1 end
  end
  for i, state in ipairs(STATES) do out[i] = counted[state] or 0 end
  return out
end

local function list(id, head)
  local size, n = payload_bytes(id), #found
  local last = with_payload and -1 or head.size - 1
  if with_payload then bytes = bytes - size end
  found[n + 1], found[n + 2] = id, redis.call('GETRANGE', key('event', id), 0, last)
  found[n + 3], found[n + 4] = size, states(id)
end

while left > 0 do
  local ids, last = next_ids(math.min(left, 200))
  for _, id in ipairs(ids) do
    if #found >= 4 * most or reads <= 0 or bytes <= 0 then
      return { found, rising and after or before }
    end
    go_on_from(id)
    left = left - 1
    local head = head_of(id)
    if takes(head) then list(id, head) end
  end
  if last then return { found, '' } end
end
return { found, rising and after or before }
