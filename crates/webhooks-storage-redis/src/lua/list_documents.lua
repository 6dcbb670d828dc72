-- Lists documents of a kind by id, from behind one on. Answers {list, where to go on or ''}: of each its
-- id, value, revision and time of expiry or ''.
local kind, after, descending, most = take(), take(), take() == '1', tonumber(take())
local found, bytes, looked = {}, 1048576, 1000

local function ids_behind(id)
  local from = id ~= '' and '(' .. id
  local at = key('documents', kind)
  if descending then
    return redis.call('ZREVRANGEBYLEX', at, from or '+', '-', 'LIMIT', 0, 100)
  end
  return redis.call('ZRANGEBYLEX', at, from or '-', '+', 'LIMIT', 0, 100)
end

while looked > 0 do
  local ids = ids_behind(after)
  for _, id in ipairs(ids) do
    if #found >= 4 * most or bytes <= 0 then return { found, after } end
    after, looked = id, looked - 1
    local document = read_document(document_name(kind, id))
    if document then
      local n = #found
      found[n + 1] = id
      found[n + 2], found[n + 3], found[n + 4] = unpack(document)
      bytes = bytes - #document[1]
    end
  end
  if #ids < 100 then return { found, '' } end
end
return { found, after }
