-- Documents: each a hash under its name, which is the length of its kind, its kind and its id; by kind
-- the ids, and all that expire by when they do.
local function document_name(kind, id) return #kind .. ':' .. kind .. ':' .. id end

local function kind_and_id(name)
  local length, rest = string.match(name, '^(%d+):(.*)$')
  return string.sub(rest, 1, length), string.sub(rest, length + 2)
end

-- Its value, revision and time of expiry; nothing once it has expired.
local function read_document(name)
  local v = redis.call('HMGET', key('document', name), 'value', 'revision', 'expires')
  if not v[1] or (v[3] and tonumber(v[3]) <= now_ms) then return nil end
  return { v[1], v[2], v[3] or '' }
end

local function drop_document(name)
  local kind, id = kind_and_id(name)
  redis.call('DEL', key('document', name))
  redis.call('ZREM', key('documents', kind), id)
  redis.call('ZREM', key('expiring'), name)
end
