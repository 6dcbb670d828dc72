-- Numbers over time: by bucket a hash of endpoints with their numbers, as a text with a space between
-- two; and the buckets by when they begin.
local function numbers_of(text)
  local list = {}
  for n in string.gmatch(text, '%d+') do list[#list + 1] = tonumber(n) end
  return list
end

local function add(sums, list)
  for i, n in ipairs(list) do sums[i] = (sums[i] or 0) + n end
  return sums
end

local function text_of_numbers(list)
  local out = {}
  for i, n in ipairs(list) do out[i] = number(n) end
  return table.concat(out, ' ')
end
