-- What a storage needs to know of the server that keeps a partition: {what the user has no right to, or
-- ''; the number of partitions with which the keys were written; what INFO tells, or '' if that is
-- refused}.
local function info(section)
  local answer = redis.pcall('INFO', section)
  return type(answer) == 'string' and answer or ''
end
return { table.concat(missing, ' '), partitions or '0', info('server') .. info('persistence') .. info('memory') }
