-- Deletes a document, if what is there is what is expected. Answers {'absent', 'conflict' or 'deleted'}.
local name, expected, request = document_name(take(), take()), take(), take()
local answer_key, there_now = key('answer', request), read_document(name)
if redis.call('EXISTS', answer_key) == 1 then return { 'deleted' } end
if not there_now then return { 'absent' } end
if expected ~= 'any' and there_now[2] ~= expected then return { 'conflict' } end
write_when_full()
drop_document(name)
redis.call('HSET', answer_key, 'deleted', 1)
redis.call('PEXPIRE', answer_key, 60000)
return { 'deleted' }
