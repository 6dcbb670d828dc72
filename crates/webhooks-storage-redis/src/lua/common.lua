-- What all scripts share: arguments, a cache of the endpoints that a call touches, and the moves of
-- deliveries between their places. A delivery is in exactly one place, which its `state` names;
-- `leave` and `enter` are the only ways out of and into a place, and keep the counts right.
--
-- KEYS[1] is the partition, `{prefix:n}`; every key of a script starts with it. KEYS[2] is there for
-- clusters alone: see `Keys::of_script`.
local base = KEYS[1]
local arg = 0
local function take()
  arg = arg + 1
  return ARGV[arg]
end
local channel, now = take(), take()
local woken = false

local function number(n) return string.format('%.0f', n) end

-- Who passes no time gets the server's.
if now == '' then
  local time = redis.call('TIME')
  now = number(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end
local now_ms = tonumber(now)

local function key(kind, id)
  if id then return base .. ':' .. kind .. ':' .. id end
  return base .. ':' .. kind
end

-- What goes into the sets that many deliveries share, and out of them, is written with a few calls:
-- by key and member its score (a text: numbers are slow to pass on), or `true` where there are no
-- scores, or `false` if it goes.
local sorted, sets = {}, {}
local function put(all, at, member, value)
  local of = all[at]
  if not of then
    of = {}
    all[at] = of
  end
  of[member] = value
end

-- Calls a command of one key with any number of arguments, which go in pairs or alone.
local function call_with(command, at, arguments)
  for i = 1, #arguments, 4000 do
    redis.call(command, at, unpack(arguments, i, math.min(i + 3999, #arguments)))
  end
end

-- The texts of these keys, in order; false where there is none.
local function get_all(keys)
  local all = {}
  for i = 1, #keys, 4000 do
    local part = redis.call('MGET', unpack(keys, i, math.min(i + 3999, #keys)))
    for n = 1, #part do all[#all + 1] = part[n] end
  end
  return all
end

-- A delivery is one text, its fields in lines; `Row` reads it too. A script reads many at a time,
-- each once, and writes all that it changed at its end, with one command. The worker is the last
-- field, since nothing says that its name is one line.
local LINES = string.rep('([^\n]*)\n', 18) .. '(.*)'
-- By id; false if there is none. `text` is what is stored, nil while a change is not written.
local rows, changed = {}, {}

local function parse(id, text)
  local state, endpoint, event, priority, due, attempts, max_retries, crashes, token, reason, updated,
    erased, incarnation, by_name, settled, seq, sort, sent, worker = string.match(text, LINES)
  return { id = id, text = text, state = state, endpoint = endpoint, event = event,
    priority = priority, due = due, attempts = attempts, max_retries = max_retries,
    crashes = crashes, token = token, reason = reason, updated = updated, erased = erased,
    incarnation = incarnation, by_name = by_name, settled = settled, seq = seq, sort = sort, sent = sent, worker = worker }
end

local function text_of(d)
  return d.state .. '\n' .. d.endpoint .. '\n' .. d.event .. '\n' .. d.priority .. '\n' .. d.due
    .. '\n' .. d.attempts .. '\n' .. d.max_retries .. '\n' .. d.crashes .. '\n' .. d.token .. '\n'
    .. d.reason .. '\n' .. d.updated .. '\n' .. d.erased .. '\n' .. d.incarnation .. '\n'
    .. d.by_name .. '\n' .. d.settled .. '\n' .. d.seq
    .. '\n' .. d.sort .. '\n' .. d.sent .. '\n' .. d.worker
end

-- Reads the deliveries with these ids that were not read yet.
local function read_rows(ids)
  local unread, keys = {}, {}
  for _, id in ipairs(ids) do
    if rows[id] == nil then
      unread[#unread + 1], keys[#keys + 1] = id, key('delivery', id)
      rows[id] = false
    end
  end
  for i, text in ipairs(get_all(keys)) do
    if text then rows[unread[i]] = parse(unread[i], text) end
  end
end

-- The delivery with this id.
local function row(id)
  if rows[id] == nil then read_rows({ id }) end
  return rows[id] or nil
end

-- The ids of deliveries that wait in a queue; a member ends with its id.
local function ids_of(members)
  local ids = {}
  for i, member in ipairs(members) do ids[i] = string.sub(member, -36) end
  return ids
end

-- Notes that a delivery was changed, or is new.
local function keep(d)
  rows[d.id], changed[d.id], d.text = d, d, nil
end

-- Other texts to be written, by key.
local texts = {}

local function write_texts()
  local all, n, prefix = {}, 0, key('delivery', '')
  for id, d in pairs(changed) do
    d.text = text_of(d)
    all[n + 1], all[n + 2] = prefix .. id, d.text
    n = n + 2
  end
  for at, text in pairs(texts) do
    all[n + 1], all[n + 2] = at, text
    n = n + 2
  end
  for i = 1, n, 4000 do
    redis.call('MSET', unpack(all, i, math.min(i + 3999, n)))
  end
  changed, texts = {}, {}
end

-- Scripts that read such a set after a change of it call this in between.
local function write_sets()
  for at, of in pairs(sorted) do
    local put_in, removed, n = {}, {}, 0
    for member, score in pairs(of) do
      if score then
        put_in[n + 1], put_in[n + 2] = score, member
        n = n + 2
      else
        removed[#removed + 1] = member
      end
    end
    call_with('ZREM', at, removed)
    call_with('ZADD', at, put_in)
  end
  for at, of in pairs(sets) do
    local put_in, removed = {}, {}
    for member, is_in in pairs(of) do
      local list = is_in and put_in or removed
      list[#list + 1] = member
    end
    call_with('SREM', at, removed)
    call_with('SADD', at, put_in)
  end
  sorted, sets = {}, {}
end

local GATES = { 'enabled', 'paused', 'deleted_at', 'held_until', 'max_leased', 'rps', 'burst',
  'per_request', 'tat', 'incarnation', 'batch_wait', 'since' }
-- `suspect` counts those of the ready ones that have a place of their own.
local COUNTS = { 'enqueued', 'delivered', 'dead', 'cancelled', 'purged', 'ready', 'scheduled',
  'leased', 'suspect' }
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
  e.held_was = e.open and 0 or e.counts.ready + e.counts.scheduled
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

-- Gives an endpoint its turn, or its place among the held, if it has something to claim.
local function admit(e)
  local c = e.counts
  if c.ready <= 0 or not e.open or (e.max_leased and c.leased >= e.max_leased) then return end
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
      local held = e.open and 0 or e.counts.ready + e.counts.scheduled
      totals.held = (totals.held or 0) + held - e.held_was
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
  if woken then redis.call('PUBLISH', channel, '') end
end

-- What is leased is in the set of its worker alone.
local INDEX = { ready = 'waiting', scheduled = 'waiting', dead = 'dead', delivered = 'ended',
  cancelled = 'ended' }

-- Counts a ready delivery, and names its place: those whose workers died twice have one of their
-- own, from which they come one at a time.
local function ready_place(e, crashes, by)
  count(e, 'ready', by)
  if tonumber(crashes) < 2 then return key('ready', e.id) end
  count(e, 'suspect', by)
  return key('suspect', e.id)
end

local function leave(d, e)
  if d.state == 'ready' then
    put(sorted, ready_place(e, d.crashes, -1), d.seq .. ':' .. d.id, false)
    if tonumber(d.crashes) < 2 then e.since = nil end
  elseif d.state == 'scheduled' then
    put(sorted, key('scheduled', e.id), d.seq .. ':' .. d.id, false)
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
    put(sorted, ready_place(e, d.crashes, 1), d.seq .. ':' .. d.id, d.sort)
    e.admit = true
    return
  end
  count(e, d.state, 1)
  if d.state == 'scheduled' then
    put(sorted, key('scheduled', e.id), d.seq .. ':' .. d.id, d.due)
    e.due_moved = true
  elseif d.state == 'leased' then
    put(sets, key('leased', d.worker), d.id, true)
  end
end

-- Moves a delivery to another place.
local function move(d, e, state)
  leave(d, e)
  local from, to = INDEX[d.state], INDEX[state]
  if from ~= to then
    if from then put(sorted, key(from), d.id, false) end
    if to then put(sorted, key(to), d.id, '0') end
  end
  d.state, d.updated = state, now
  keep(d)
  enter(d, e)
end

-- Cancels a delivery.
local function cancel(d, e, reason)
  d.reason = reason
  move(d, e, 'cancelled')
end

-- Why a delivery cannot wait for its endpoint any more; nil if it can.
local function stranded(d, e)
  if d.erased ~= '' then return 'erased' end
  if e.deleted then return 'endpoint_deleted' end
  if d.incarnation ~= e.incarnation then return 'endpoint_replaced' end
end

-- Moves a delivery to where it waits until it is due.
local function wait_until(d, e, due)
  d.due = due
  move(d, e, tonumber(due) > now_ms and 'scheduled' or 'ready')
end

-- The lines in front of an event's payload: type, time, tenant.
local HEAD = '^([^\n]*)\n([^\n]*)\n([^\n]*)\n'

-- The texts of events, by id; false where the server has dropped one, as it may without noeviction.
local events = {}
local function read_events(deliveries)
  local ids, keys = {}, {}
  for _, d in ipairs(deliveries) do
    if events[d.event] == nil then
      ids[#ids + 1], keys[#keys + 1] = d.event, key('event', d.event)
      events[d.event] = false
    end
  end
  for i, text in ipairs(get_all(keys)) do events[ids[i]] = text end
end

-- The events that were read, each as its id and its text.
local function events_read()
  local out = {}
  for id, text in pairs(events) do
    if text then out[#out + 1], out[#out + 2] = id, text end
  end
  return out
end

-- Counts one delivery more of an event as `removed` or `unread`, and tells whether all are now.
local function all_of(event, field)
  -- Their ids are of 36 bytes, with a space between two.
  local all = (redis.call('STRLEN', key('deliveries', event)) + 1) / 37
  -- With the only one that is removed the counts go, too.
  if field == 'removed' and all <= 1 then return true end
  return redis.call('HINCRBY', key('gone', event), field, 1) >= all
end

-- Drops a payload once nobody reads it.
local function unread(event)
  if not all_of(event, 'unread') then return end
  local text = redis.call('GET', key('event', event))
  local _, last = string.find(text or '', HEAD)
  if last then redis.call('SET', key('event', event), string.sub(text, 1, last)) end
end

-- Type, time and tenant of an event; nothing where the server has dropped it.
local heads = {}
local function head_of(event)
  local head = heads[event]
  if not head then
    local at = key('event', event)
    -- Longer than all three are but of a tenant that nobody has checked.
    head = { string.match(redis.call('GETRANGE', at, 0, 2047), HEAD) }
    if not head[1] then head = { string.match(redis.call('GET', at) or '', HEAD) } end
    heads[event] = head
  end
  return head
end

-- Files a delivery among those of its event's tenant (in JSON, '' for none), or takes it out.
local function put_tenant(tenant, id, value)
  if tenant and tenant ~= '' then put(sorted, key('tenant', tenant), id, value) end
end

-- Drops a delivery. The totals of what ended stay.
local function remove(d)
  rows[d.id], changed[d.id] = false, nil
  redis.call('DEL', key('delivery', d.id), key('attempts', d.id))
  put(sorted, key(INDEX[d.state]), d.id, false)
  put(sorted, key('log'), d.id, false)
  put(sorted, key('of', d.endpoint), d.id, false)
  put_tenant(head_of(d.event)[3], d.id, false)
  if all_of(d.event, 'removed') then
    redis.call('DEL', key('event', d.event), key('deliveries', d.event), key('gone', d.event))
  elseif d.erased == '' then
    unread(d.event)
  end
end

-- Cancels up to `most` of what waits for an endpoint. How many.
local function cancel_waiting(e, most)
  local done = 0
  for _, place in ipairs({ 'ready', 'suspect', 'scheduled' }) do
    if done < most then
      local members = redis.call('ZRANGE', key(place, e.id), 0, most - done - 1)
      read_rows(ids_of(members))
      for _, member in ipairs(members) do
        local d = row(string.sub(member, -36))
        if d then
          cancel(d, e, 'endpoint_deleted')
        else
          -- Somebody deleted the row by hand, or the server evicted it.
          put(sorted, key(place, e.id), member, false)
          count(e, place, -1)
          if place == 'suspect' then count(e, 'ready', -1) end
        end
        done = done + 1
      end
    end
  end
  return done
end

-- Numbers a change of an endpoint: at once in the first partition, which keeps the numbers; the
-- others note that it is to be announced there.
local function touch(id)
  if string.sub(base, -3) == ':0}' then
    redis.call('ZADD', key('revisions'), redis.call('INCR', key('revision')), id)
  else
    redis.call('HINCRBY', key('unannounced'), id, 1)
  end
end

-- Makes a worker that leases known, so that its silence is noticed. One that was given up and does
-- not know yet stays as silent as it was.
local known_workers = {}
local function know(worker)
  if known_workers[worker] then return end
  known_workers[worker] = true
  if redis.call('ZSCORE', key('workers'), worker) then return end
  redis.call('HSETNX', key('worker', worker), 'seen', now)
  redis.call('ZADD', key('workers'), redis.call('HGET', key('worker', worker), 'seen'), worker)
  redis.call('PEXPIRE', key('worker', worker), 172800000)
end
