-- The endpoints that a call touches, each read once, and the places of their deliveries. A delivery is
-- in exactly one place, which its `state` names; `leave` and `enter` are the only ways out of and into
-- a place, and keep the counts right.
local GATES = { 'enabled', 'paused', 'deleted_at', 'held_until', 'max_leased', 'rps', 'burst',
  'per_request', 'tat', 'incarnation', 'batch_wait', 'since' }
-- `suspect` counts the poison suspects: those of the ready ones that have a place of their own.
local COUNTS = { 'enqueued', 'delivered', 'dead', 'cancelled', 'purged', 'blocked', 'ready',
  'scheduled', 'leased', 'suspect' }
local FIELDS = { unpack(GATES) }
for _, name in ipairs(COUNTS) do FIELDS[#FIELDS + 1] = name end

local endpoints, totals = {}, {}

local function read_gate(e, v)
  e.enabled, e.paused, e.deleted = v[1] == '1', v[2] == '1', v[3] and true or false
  e.held_until, e.max_leased = tonumber(v[4] or 0), tonumber(v[5] or nil)
  e.rps, e.burst = tonumber(v[6] or nil), tonumber(v[7] or nil)
  e.per_request, e.tat = tonumber(v[8] or 1), tonumber(v[9] or 0)
  e.incarnation = v[10] or '0'
  e.batch_wait, e.since = tonumber(v[11] or nil), tonumber(v[12] or nil)
  e.since_was = e.since
  e.open = e.enabled and not e.paused and not e.deleted
end

-- What waits for an endpoint and for no worker.
local function backlog(e) return e.counts.blocked + e.counts.ready + e.counts.scheduled end

-- The endpoint with this id or its tombstone; false if there is neither.
local function endpoint(id)
  local e = endpoints[id]
  if e ~= nil then return e end
  local v = redis.call('HMGET', key('endpoint', id), unpack(FIELDS))
  if not v[1] then
    endpoints[id] = false
    return false
  end
  e = { id = id, counts = {}, was = {} }
  read_gate(e, v)
  for i, name in ipairs(COUNTS) do
    local n = tonumber(v[#GATES + i] or 0)
    e.counts[name], e.was[name] = n, n
  end
  e.suspended_was = e.open and 0 or backlog(e)
  endpoints[id] = e
  return e
end

-- Reads the gate again after it was changed.
local function reload(e)
  read_gate(e, redis.call('HMGET', key('endpoint', e.id), unpack(GATES)))
end

local function count(e, name, by) e.counts[name] = e.counts[name] + by end

-- What is ready of an endpoint that batches, suspects aside, fills a batch: due once its number is
-- met, or once the oldest has been due for `batch_wait`. `since` is when the oldest was due; it is not
-- known after something left, and then read anew: of fewer rows than one batch has.
local function sound(e) return e.counts.ready - e.counts.suspect end

local function fills_with(e, due)
  if not e.batch_wait then return end
  if e.since then
    e.since = math.min(e.since, tonumber(due))
  elseif sound(e) == 0 then
    e.since = tonumber(due)
  end
end

-- When the batch is due that fills; nil if one is due, or nothing fills.
local function filling_until(e)
  if not e.batch_wait or sound(e) <= 0 or sound(e) >= e.per_request then return nil end
  if not e.since then
    local ids = ids_of(redis.call('ZRANGE', key('ready', e.id), 0, -1))
    read_rows(ids)
    for _, id in ipairs(ids) do
      local d = row(id)
      if d then e.since = math.min(e.since or math.huge, tonumber(d.due)) end
    end
  end
  local at = (e.since or -math.huge) + e.batch_wait
  if at > now_ms then return at end
end

-- Files a batch that fills under the time at which it is due. Who waits knows the first one's only.
local function file_filling(e, at)
  if redis.call('ZADD', key('filling'), 'CH', number(at), e.id) == 1
    and redis.call('ZRANGE', key('filling'), 0, 0)[1] == e.id then
    woken = true
  end
end

-- Whether all leases that its gate allows are taken. Such an endpoint has no turn and waits for no time, so
-- it is filed apart: who looks for the oldest of what is ready finds it there.
local function is_full(e)
  if not e.max_leased or e.counts.leased < e.max_leased then return false end
  redis.call('ZADD', key('full'), 0, e.id)
  return true
end

-- Gives an endpoint its turn, or its place among the held, if it has something to claim.
local function admit(e)
  local c = e.counts
  if c.ready <= 0 or not e.open or is_full(e) then return end
  if e.held_until > now_ms then
    redis.call('ZADD', key('holds'), number(e.held_until), e.id)
    woken = true
    return
  end
  local token_at = redis.call('ZSCORE', key('holds'), e.id)
  if token_at and tonumber(token_at) > now_ms then return end
  local due = filling_until(e)
  if due then
    file_filling(e, due)
    if e.counts.suspect <= 0 then return end
  end
  if not redis.call('ZSCORE', key('turns'), e.id) then
    redis.call('ZADD', key('turns'), redis.call('INCR', key('turn')), e.id)
    woken = true
  end
end

-- Files the endpoint under the time at which its first scheduled delivery is due.
local function file_due(e)
  local first = redis.call('ZRANGE', key('scheduled', e.id), 0, 0, 'WITHSCORES')
  if not first[2] then
    redis.call('ZREM', key('due'), e.id)
    return
  end
  local before = redis.call('ZSCORE', key('due'), e.id)
  redis.call('ZADD', key('due'), first[2], e.id)
  -- Who waits knows the time of the first one of all only.
  if not before or tonumber(first[2]) < tonumber(before) then
    if redis.call('ZRANGE', key('due'), 0, 0)[1] == e.id then woken = true end
  end
end

-- Stores the rows, sets and counts that were touched, and wakes who waits. The last thing that a
-- script does.
local function flush()
  write_texts()
  write_sets()
  for _, e in pairs(endpoints) do
    if e then
      local set = {}
      for _, name in ipairs(COUNTS) do
        local by = e.counts[name] - e.was[name]
        if by ~= 0 then
          set[#set + 1], set[#set + 2] = name, number(e.counts[name])
          totals[name] = (totals[name] or 0) + by
        end
      end
      if #set > 0 then redis.call('HSET', key('endpoint', e.id), unpack(set)) end
      local suspended = e.open and 0 or backlog(e)
      totals.suspended = (totals.suspended or 0) + suspended - e.suspended_was
      if e.due_moved then file_due(e) end
      if e.admit then admit(e) end
      if e.since ~= e.since_was then
        if e.since then
          redis.call('HSET', key('endpoint', e.id), 'since', number(e.since))
        else
          redis.call('HDEL', key('endpoint', e.id), 'since')
        end
      end
    end
  end
  for name, by in pairs(totals) do
    if by ~= 0 then redis.call('HINCRBY', key('counts'), name, number(by)) end
  end
  -- Replicas are waited for up to the last write of the connection. What is called again and finds all
  -- there has to write something too.
  if KEYS[3] then redis.call('INCR', KEYS[3]) end
  -- All is stored: who may not publish has still done it, and who waits finds it by looking.
  if woken then redis.pcall('PUBLISH', channel, '') end
end

-- What is leased is in the set of its worker alone.
local INDEX = { blocked = 'waiting', ready = 'waiting', scheduled = 'waiting', dead = 'dead',
  delivered = 'ended', cancelled = 'ended' }

-- Counts a ready delivery, and names its place: those whose workers died twice have one of their
-- own, from which they come one at a time.
local function ready_place(e, crashes, by)
  count(e, 'ready', by)
  if tonumber(crashes) < 2 then return key('ready', e.id) end
  count(e, 'suspect', by)
  return key('suspect', e.id)
end

-- The member of a queue that stands for a delivery.
local function member_of(d) return d.seq .. ':' .. d.id end

local function leave(d, e)
  if d.state == 'ready' then
    put(sorted, ready_place(e, d.crashes, -1), member_of(d), false)
    if tonumber(d.crashes) < 2 then e.since = nil end
  elseif d.state == 'blocked' then
    put(sorted, key('blocked', e.id), member_of(d), false)
    count(e, 'blocked', -1)
  elseif d.state == 'scheduled' then
    put(sorted, key('scheduled', e.id), member_of(d), false)
    count(e, 'scheduled', -1)
    e.due_moved = true
  elseif d.state == 'leased' then
    put(sets, key('leased', d.worker), d.id, false)
    count(e, 'leased', -1)
    d.worker = ''
    -- It may have been the one too many of a gate.
    if e.max_leased then e.admit = true end
  elseif d.state == 'dead' then
    count(e, 'dead', -1)
  end
end

local function enter(d, e)
  if d.state == 'ready' then
    if tonumber(d.crashes) < 2 then fills_with(e, d.due) end
    put(sorted, ready_place(e, d.crashes, 1), member_of(d), d.sort)
    e.admit = true
    return
  end
  count(e, d.state, 1)
  if d.state == 'blocked' then
    put(sorted, key('blocked', e.id), member_of(d), '0')
  elseif d.state == 'scheduled' then
    put(sorted, key('scheduled', e.id), member_of(d), d.due)
    e.due_moved = true
  elseif d.state == 'leased' then
    put(sets, key('leased', d.worker), d.id, true)
  end
end
