-- What all scripts share: arguments, and how deliveries are read and written; then come the files
-- `places.lua`, `moves.lua` and `events.lua`.
--
-- No server takes back what a script wrote before it failed. So nothing here may fail behind a first
-- write: whether the user may call what all scripts call is asked when connecting (`rights.lua`), and
-- what only wakes is allowed to fail.
--
-- KEYS[1] is the partition, `{prefix:n}`; every key of a script starts with it. KEYS[2] is there for
-- clusters alone, KEYS[3] for calls that wait for replicas: see `Keys::of_script`.
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

-- A full server refuses a script whose first write may need memory, and nothing of one that has
-- written. What frees memory, stops work, or goes on with what has begun calls this first, and works
-- there too. (A flag of the script would say it as well, but needs Redis 7.)
local function write_when_full() redis.call('HDEL', key('settings'), 'none') end

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
local LINES = string.rep('([^\n]*)\n', 22) .. '(.*)'
-- By id; false if there is none. `text` is what is stored, nil while a change is not written.
local rows, changed = {}, {}

local function parse(id, text)
  local state, endpoint, event, priority, due, attempts, max_retries, crashes, token, reason, updated,
    erased, incarnation, by_name, status, failure, order, settled, seq, sort, sent, place, worker =
    string.match(text, LINES)
  return { id = id, text = text, state = state, endpoint = endpoint, event = event,
    priority = priority, due = due, attempts = attempts, max_retries = max_retries,
    crashes = crashes, token = token, reason = reason, updated = updated, erased = erased,
    incarnation = incarnation, by_name = by_name, status = status, failure = failure, order = order,
    settled = settled, seq = seq, sort = sort, sent = sent, place = place, worker = worker }
end

local function text_of(d)
  return d.state .. '\n' .. d.endpoint .. '\n' .. d.event .. '\n' .. d.priority .. '\n' .. d.due
    .. '\n' .. d.attempts .. '\n' .. d.max_retries .. '\n' .. d.crashes .. '\n' .. d.token .. '\n'
    .. d.reason .. '\n' .. d.updated .. '\n' .. d.erased .. '\n' .. d.incarnation .. '\n'
    .. d.by_name .. '\n' .. d.status .. '\n' .. d.failure .. '\n' .. d.order .. '\n' .. d.settled
    .. '\n' .. d.seq .. '\n' .. d.sort .. '\n' .. d.sent .. '\n' .. d.place .. '\n' .. d.worker
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

