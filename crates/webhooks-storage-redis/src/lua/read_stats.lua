-- Reads numbers of the buckets of a kind that begin in a time, a bounded number at a time. Answers
-- {list, where to go on or ''}: of each a bucket's begin, an endpoint ('' for all together), numbers.
local kind, from, to, per_endpoint = take(), take(), take(), take() == '1'
local asked = take() == '1' and {} or nil
if asked then
  for i = 1, tonumber(take()) do asked[i] = take() end
end
local left, found = 2000, {}

local function read(at)
  if not asked then return redis.call('HGETALL', at) end
  local out, texts = {}, redis.call('HMGET', at, unpack(asked))
  for i, id in ipairs(asked) do
    if texts[i] then out[#out + 1], out[#out + 2] = id, texts[i] end
  end
  return out
end

local function list(begin, id, text)
  local n = #found
  found[n + 1], found[n + 2], found[n + 3] = begin, id, text
end

if asked and #asked == 0 then return { found, '' } end
local begins = redis.call('ZRANGEBYSCORE', key(kind .. 's'), from, '(' .. to, 'LIMIT', 0, 500)
for _, begin in ipairs(begins) do
  if left <= 0 then return { found, begin } end
  local pairs_of, sums = read(key(kind, begin)), {}
  left = left - 1 - #pairs_of / 2
  for i = 1, #pairs_of, 2 do
    if per_endpoint then
      list(begin, pairs_of[i], pairs_of[i + 1])
    else
      add(sums, numbers_of(pairs_of[i + 1]))
    end
  end
  if #sums > 0 then list(begin, '', text_of_numbers(sums)) end
end
if #begins < 500 then return { found, '' } end
return { found, number(tonumber(begins[500]) + 1) }
