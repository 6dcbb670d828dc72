-- Drops what is older than the retention, a bounded number of rows at a time. A pass goes through
-- the indexes one after the other, oldest id first; where it stopped is kept for the next run.
-- Answers {rows, more, tombstones that were dropped, ...}.
local limit = tonumber(take())
local cutoffs = { waiting = tonumber(take()), ended = tonumber(take()), dead = tonumber(take()),
  log = tonumber(take()), minute = tonumber(take()), hour = tonumber(take()) }
events_until = tonumber(take())
local PHASES = { 'waiting', 'ended', 'dead', 'events', 'file', 'log', 'documents', 'minute', 'hour',
  'tombstones' }
local budget = 2 * limit + 100
local swept = 0
write_when_full()
local state = redis.call('HMGET', key('sweep'), 'phase', 'cursor', 'filed_to')
local phase, cursor, filed_to = tonumber(state[1] or 1), state[2] or '-', state[3] or ''

-- The largest id of a time: the first 48 bits of an id are its milliseconds.
local function last_id(ms)
  if ms < 0 then return nil end
  local hex = string.format('%04x%08x', math.floor(ms / 4294967296) % 65536, ms % 4294967296)
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9) .. '-g'
end

local DROP = {}

function DROP.waiting(d, cutoff)
  if math.max(tonumber(d.sent), tonumber(d.due)) > cutoff then return 0 end
  d.reason = 'expired'
  move(d, endpoint(d.endpoint), 'dead')
  return 1
end

function DROP.ended(d, cutoff)
  if tonumber(d.updated) > cutoff then return 0 end
  remove(d)
  return 1
end

function DROP.dead(d, cutoff)
  if tonumber(d.updated) > cutoff then return 0 end
  -- The total stays.
  remove(d)
  return 1
end

-- Visits what an index has from there on up to a time, oldest first. Whether it is done with.
local function walk(index, from, until_ms, visit)
  local last = last_id(until_ms)
  if not last then return true end
  while swept < limit and budget > 0 do
    local most = math.min(limit - swept, budget, 200)
    local ids = redis.call('ZRANGEBYLEX', key(index), from, '(' .. last, 'LIMIT', 0, most)
    visit(ids)
    if #ids > 0 then from = '(' .. ids[#ids] end
    budget = budget - #ids
    if #ids < most then return true end
  end
  return false
end

local function sweep_index(name)
  return walk(name, cursor, cutoffs[name], function(ids)
    read_rows(ids)
    for _, id in ipairs(ids) do
      local d = row(id)
      if d then swept = swept + DROP[name](d, cutoffs[name]) end
      cursor = '(' .. id
    end
  end)
end

local function started(line) return string.match(line, 'at=(%-?%d+)') end

-- Files the logs of what ended, those that may have become old enough since the last time.
local function file_logs()
  return walk('ended', filed_to == '' and '-' or '(' .. filed_to, cutoffs.log, function(ids)
    for _, id in ipairs(ids) do
      local line = redis.call('LINDEX', key('attempts', id), 0)
      if line then put(sorted, key('log'), id, started(line)) end
      filed_to = id
    end
  end)
end

local function sweep_log()
  write_sets()
  while swept < limit and budget > 0 do
    local oldest = redis.call('ZRANGEBYSCORE', key('log'), '-inf', number(cutoffs.log), 'LIMIT',
      0, math.min(limit - swept, 200))
    if #oldest == 0 then return true end
    for _, id in ipairs(oldest) do
      budget = budget - 1
      local at = key('attempts', id)
      if swept < limit then
        local line = redis.call('LPOP', at)
        if line then swept = swept + 1 end
        local following = redis.call('LINDEX', at, 0)
        if following then
          redis.call('ZADD', key('log'), started(following), id)
        else
          redis.call('ZREM', key('log'), id)
        end
      end
    end
  end
  return false
end

-- Drops events without deliveries, but those that a fan-out needs.
local function sweep_events()
  write_sets()
  local needed = 0
  while swept < limit and budget > 0 do
    local most = math.min(limit - swept, 200)
    local ids = redis.call('ZRANGEBYSCORE', key('bare'), '-inf', number(events_until), 'LIMIT',
      needed, most)
    for _, id in ipairs(ids) do
      if in_fan_out(id) then
        needed = needed + 1
      else
        drop_event(id)
        swept = swept + 1
      end
    end
    write_sets()
    budget = budget - #ids
    if #ids < most then return true end
  end
  return false
end

local function sweep_documents()
  while swept < limit and budget > 0 do
    local most = math.min(limit - swept, 200)
    local names = redis.call('ZRANGEBYSCORE', key('expiring'), '-inf', now, 'LIMIT', 0, most)
    for _, name in ipairs(names) do drop_document(name) end
    swept, budget = swept + #names, budget - #names
    if #names < most then return true end
  end
  return false
end

-- Drops the numbers of the oldest minutes or hours, all endpoints' at once.
local function sweep_stats(kind)
  while swept < limit and budget > 0 do
    local index, most = key(kind .. 's'), math.min(limit - swept, 20)
    local begins = redis.call('ZRANGEBYSCORE', index, '-inf', number(cutoffs[kind]), 'LIMIT', 0, most)
    for _, begin in ipairs(begins) do
      redis.call('DEL', key(kind, begin))
      redis.call('ZREM', index, begin)
    end
    swept, budget = swept + #begins, budget - #begins
    if #begins < most then return true end
  end
  return false
end

-- Forgets workers that were given up and silent for a day.
local function forget_workers()
  local old = redis.call('ZRANGEBYSCORE', key('given_up'), '-inf', number(now_ms - 86400000))
  call_with('ZREM', key('given_up'), old)
end

-- Drops tombstones that nothing refers to and that every node has had the time to see.
local dropped = {}
local function sweep_tombstones()
  write_sets()
  local old = redis.call('ZRANGEBYSCORE', key('tombstones'), '-inf', number(cutoffs.ended),
    'LIMIT', 0, 100)
  for _, id in ipairs(old) do
    local e = endpoint(id)
    if e and e.deleted and backlog(e) > 0 then
      budget = budget - cancel_waiting(e, math.max(budget, 1))
    end
    if e and redis.call('ZCARD', key('of', id)) > 0 then
      -- Looked at again an hour later.
      redis.call('ZADD', key('tombstones'), number(cutoffs.ended + 3600000), id)
    else
      redis.call('ZREM', key('tombstones'), id)
      if e and e.deleted then
        endpoints[id] = nil
        redis.call('DEL', key('endpoint', id))
        redis.call('ZREM', key('turns'), id)
        redis.call('ZREM', key('holds'), id)
        redis.call('ZREM', key('filling'), id)
        redis.call('ZREM', key('full'), id)
        redis.call('ZREM', key('due'), id)
        dropped[#dropped + 1] = id
      end
    end
  end
  return #old < 100
end

forget_workers()
while PHASES[phase] do
  local name, done = PHASES[phase], nil
  if name == 'file' then
    done = file_logs()
  elseif name == 'events' then
    done = sweep_events()
  elseif name == 'log' then
    done = sweep_log()
  elseif name == 'documents' then
    done = sweep_documents()
  elseif name == 'minute' or name == 'hour' then
    done = sweep_stats(name)
  elseif name == 'tombstones' then
    done = sweep_tombstones()
  else
    done = sweep_index(name)
  end
  if not done then break end
  phase, cursor = phase + 1, '-'
end
local more = PHASES[phase] and 1 or 0
redis.call('HSET', key('sweep'), 'phase', more == 1 and phase or 1, 'cursor',
  more == 1 and cursor or '-', 'filed_to', filed_to)
flush()
return { swept, more, unpack(dropped) }
