-- Leases ready deliveries, from endpoints in turn. Answers {rows, events, next due or ''}, each row
-- and event as its id and its text.
--
-- What a request leased is kept under its slot until the slot's next request, and given again to
-- whoever asks with the same request: the first answer may have been lost.
local worker, slot, request = take(), take(), take()
local limit, per_endpoint, suspects = tonumber(take()), tonumber(take()), tonumber(take())
local rps, burst = tonumber(take()), tonumber(take())
local room = {}
for _ = 1, tonumber(take()) do
  local id = take()
  room[id] = tonumber(take())
end

-- Bounds of one run: deliveries made ready, endpoints whose hold ends, endpoints passed over.
local MOST_PROMOTED, MOST_HOLDS, MOST_VISITS = 250, 200, 500

local given, ids = {}, {}
local slot_key = key('claim', worker .. ':' .. slot)

-- Given once all is written.
local function answer(next_at)
  local out = {}
  for _, d in ipairs(given) do out[#out + 1], out[#out + 2] = d.id, d.text end
  return { out, events_read(), next_at }
end

local kept = redis.call('HMGET', slot_key, 'request', 'ids')
if kept[1] == request then
  local tokens = {}
  for id, token in string.gmatch(kept[2], '(%S+):(%d+)') do
    ids[#ids + 1], tokens[id] = id, token
  end
  local leased = {}
  read_rows(ids)
  for _, id in ipairs(ids) do
    local d = row(id)
    -- With a later token another claim of the worker has given it since.
    if d and d.state == 'leased' and d.worker == worker and d.token == tokens[id] then
      leased[#leased + 1] = d
    end
  end
  read_events(leased)
  for _, d in ipairs(leased) do
    if events[d.event] then given[#given + 1] = d end
  end
  return answer(now)
elseif kept[1] and tonumber(kept[1]) > tonumber(request) then
  -- A copy of an older request, whose answer nobody waits for.
  return answer(now)
end

-- What was accepted goes out, so that it can be swept.
write_when_full()

-- Makes the scheduled deliveries ready whose time has come, a fair share of each endpoint.
local function promote()
  local due = redis.call('ZRANGEBYSCORE', key('due'), '-inf', now, 'LIMIT', 0, 100)
  local share = math.floor(MOST_PROMOTED / math.max(#due, 1))
  for _, id in ipairs(due) do
    local e = endpoint(id)
    local place = key('scheduled', id)
    local members = redis.call('ZRANGEBYSCORE', place, '-inf', now, 'LIMIT', 0, share)
    read_rows(ids_of(members))
    for _, member in ipairs(members) do
      local d = row(string.sub(member, -36))
      -- Without noeviction the server may have dropped the row.
      if d then
        if tonumber(d.crashes) < 2 then fills_with(e, d.due) end
        put(sorted, ready_place(e, d.crashes, 1), member, d.sort)
        d.state, d.updated = 'ready', now
        keep(d)
      end
      put(sorted, place, member, false)
    end
    write_sets()
    count(e, 'scheduled', -#members)
    file_due(e)
    admit(e)
  end
end

local function end_holds(holds)
  local over = redis.call('ZRANGEBYSCORE', key(holds), '-inf', now, 'LIMIT', 0, MOST_HOLDS)
  for _, id in ipairs(over) do
    redis.call('ZREM', key(holds), id)
    local e = endpoint(id)
    if e then admit(e) end
  end
end

-- The generic cell rate algorithm: `tat` is the time at which the bucket will be full again but
-- for one token's worth. Requests that may start now, and when the next one may.
local function tokens(e)
  local rate, most = e.rps or rps, e.burst or burst
  if not rate then return math.huge end
  local every = 1000 / rate
  local ahead = math.max(e.tat - now_ms, 0)
  local free = math.floor(((most - 1) * every - ahead) / every + 1 + 1e-6)
  return math.max(free, 0), every, most
end

local function spend(e, deliveries)
  local free, every, most = tokens(e)
  if free == math.huge then return end
  local used = math.ceil(deliveries / e.per_request)
  e.tat = math.max(e.tat, now_ms) + used * every
  redis.call('HSET', key('endpoint', e.id), 'tat', string.format('%.3f', e.tat))
  if free - used < 1 then
    e.token_at = math.ceil(e.tat - (most - 1) * every - 1e-3)
  end
end

-- What an endpoint whose turn it is can give; nil if nothing, and then it leaves the ring.
local function plan(e)
  if not e or not e.open or e.counts.ready <= 0 then return nil end
  if is_full(e) then return nil end
  if e.held_until > now_ms then
    redis.call('ZADD', key('holds'), number(e.held_until), e.id)
    return nil
  end
  local free, every, most = tokens(e)
  if free < 1 then
    local at = math.ceil(e.tat - (most - 1) * every - 1e-3)
    redis.call('ZADD', key('holds'), number(at), e.id)
    return nil
  end
  local due = filling_until(e)
  if due then file_filling(e, due) end
  if due and e.counts.suspect <= 0 then return nil end
  local left = math.min(e.max_leased and e.max_leased - e.counts.leased or math.huge,
    free * e.per_request, room[e.id] or per_endpoint * e.per_request)
  local give, rest = due and 0 or math.min(sound(e), left), 0
  local is_over = e.since and e.since + (e.batch_wait or 0) <= now_ms
  if e.batch_wait and not is_over and give > e.per_request then
    -- The rest goes on to fill a batch.
    rest = give % e.per_request
    give = give - rest
  end
  local ready = sound(e) - rest + math.min(e.counts.suspect, suspects)
  if due then ready = math.min(e.counts.suspect, suspects) end
  local have = math.min(give + math.min(e.counts.suspect, suspects), left)
  return { e = e, have = have, more = ready > have, fills = due, rest = rest, n = 0 }
end

-- One of each endpoint in turn, or one batch: first those of the ring, then those that were served, again.
local function choose()
  local queue, full, served, taken, visits, more = {}, {}, {}, 0, 0, true
  local head, tail = 1, 0
  while taken < limit do
    if more then
      local popped = redis.call('ZPOPMIN', key('turns'), math.min(limit - taken, 100))
      more = #popped > 0 and visits < MOST_VISITS + limit
      for i = 1, #popped, 2 do
        local is_late = taken >= limit
        -- A batch of one before it came whole: it keeps its turn.
        if is_late then redis.call('ZADD', key('turns'), popped[i + 1], popped[i]) end
        local p = not is_late and plan(endpoint(popped[i]))
        visits = visits + 1
        if p and p.have <= 0 then
          full[#full + 1] = p
        elseif p then
          p.n = math.min(p.e.per_request, p.have)
          taken = taken + p.n
          tail = tail + 1
          queue[tail], served[#served + 1] = p, p
        end
      end
    else
      local p = queue[head]
      if not p then break end
      head = head + 1
      if p.n < p.have then
        local turn = math.min(p.e.per_request, p.have - p.n)
        p.n, taken = p.n + turn, taken + turn
        tail = tail + 1
        queue[tail] = p
      elseif p.more then
        full[#full + 1] = p
      end
    end
  end
  local again = {}
  for i = head, tail do again[#again + 1] = queue[i] end
  for _, p in ipairs(full) do again[#again + 1] = p end
  return served, again, visits >= MOST_VISITS + limit
end

local function before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.member < b.member
end

-- Takes the first `n` of what is ready in order, with as many poison suspects as are left to take.
-- While a batch fills, only these.
local function pop(e, n, fills)
  local popped, members = fills and {} or redis.call('ZPOPMIN', key('ready', e.id), n), {}
  if #popped > 0 then e.since = nil end
  for i = 1, #popped, 2 do
    members[#members + 1] = { member = popped[i], score = tonumber(popped[i + 1]) }
  end
  count(e, 'ready', -#members)
  while suspects > 0 and e.counts.suspect > 0 do
    local v = redis.call('ZRANGE', key('suspect', e.id), 0, 0, 'WITHSCORES')
    if not v[1] then break end
    local suspect, last = { member = v[1], score = tonumber(v[2]) }, members[#members]
    if #members >= n then
      if before(last, suspect) then break end
      redis.call('ZADD', key('ready', e.id), number(last.score), last.member)
      count(e, 'ready', 1)
      members[#members] = nil
    end
    redis.call('ZREM', ready_place(e, 2, -1), suspect.member)
    suspects = suspects - 1
    members[#members + 1] = suspect
    table.sort(members, before)
  end
  return members
end

-- Takes what was chosen out of its queues, and reads it, of all endpoints at once.
local function take_chosen(served)
  local all, deliveries = {}, {}
  for _, p in ipairs(served) do
    p.ids = {}
    for i, m in ipairs(pop(p.e, p.n, p.fills)) do
      p.ids[i] = string.sub(m.member, -36)
      all[#all + 1] = p.ids[i]
    end
  end
  read_rows(all)
  for _, id in ipairs(all) do deliveries[#deliveries + 1] = row(id) end
  read_events(deliveries)
end

local function lease(p)
  local e, new = p.e, 0
  for _, id in ipairs(p.ids) do
    local d = row(id)
    -- Without noeviction the server may have dropped the row, or the event of one.
    if d and not events[d.event] then
      remove(d)
    elseif d and d.incarnation ~= e.incarnation then
      -- It was already taken out of its queue, and out of that one's count.
      d.state, d.reason, d.updated = 'cancelled', 'endpoint_replaced', now
      keep(d)
      put(sorted, key('waiting'), d.id, false)
      put(sorted, key('ended'), d.id, '0')
      count(e, 'cancelled', 1)
      if d.place ~= '' then leave_order(d, e, true) end
    elseif d then
      d.state, d.worker, d.updated = 'leased', worker, now
      d.token = number(tonumber(d.token) + 1)
      keep(d)
      put(sorted, key('waiting'), d.id, false)
      put(sets, key('leased', worker), d.id, true)
      new = new + 1
      ids[#ids + 1] = d.id .. ':' .. d.token
      given[#given + 1] = d
    end
  end
  count(e, 'leased', new)
  spend(e, new)
end

-- Gives an endpoint its next turn, unless it waits for a token.
local function readmit(p)
  local e = p.e
  if e.token_at and e.token_at > now_ms then
    if e.counts.ready > 0 then redis.call('ZADD', key('holds'), number(e.token_at), e.id) end
  else
    admit(e)
  end
end

-- When the next endpoint may give something by the passing of time alone.
local function next_due()
  local first = redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')[2]
  for _ = 1, 100 do
    local held = redis.call('ZRANGE', key('holds'), 0, 0, 'WITHSCORES')
    if not held[1] then break end
    local e = endpoint(held[1])
    if e and e.open and e.counts.ready > 0
      and not (e.max_leased and e.counts.leased >= e.max_leased) then
      if not first or tonumber(held[2]) < tonumber(first) then first = held[2] end
      break
    end
    redis.call('ZREM', key('holds'), held[1])
  end
  for _ = 1, 100 do
    local filling = redis.call('ZRANGE', key('filling'), 0, 0, 'WITHSCORES')
    if not filling[1] then break end
    local e = endpoint(filling[1])
    local at = e and e.open and filling_until(e)
    if at and number(at) == filling[2] then
      if not first or at < tonumber(first) then first = filling[2] end
      break
    end
    redis.call('ZREM', key('filling'), filling[1])
    if e then admit(e) end
  end
  return first or ''
end

promote()
end_holds('holds')
end_holds('filling')
local served, again, cut = choose()
take_chosen(served)
for _, p in ipairs(served) do lease(p) end
for _, p in ipairs(again) do readmit(p) end
for _, p in ipairs(served) do readmit(p) end
if #ids > 0 then know(worker) end
redis.call('HSET', slot_key, 'request', request, 'ids', table.concat(ids, ' '))
redis.call('PEXPIRE', slot_key, 86400000)
for _, p in ipairs(served) do
  -- What is left of it has waited long enough, as only now is known.
  if p.rest > 0 and p.n == p.have and not filling_until(p.e) then cut = true end
end
local next_at = cut and now or next_due()
-- Who claims knows what it left behind.
woken = false
flush()
return answer(next_at)
