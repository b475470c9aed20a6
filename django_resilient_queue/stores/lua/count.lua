-- Count what lies in the queues; reads only. KEYS are the lists, 4 how many workers at most, then the
-- queues' names. Answers as JSON, in which each byte stands for the character of its number: of each
-- queue {waiting, active, scheduled, deferred, failed, when the oldest of its first jobs was enqueued,
-- '' for unknown}, how many workers rq knows, {name, last heartbeat, queues, state, '1' for one of
-- ours} of some of them, how many jobs have no row, whether rq is suspended, and the paused queues.
local FIRST = 20  -- a job put at the front, or retried there, stands before older ones
local queues, workers = {}, {}

local function oldest_of(list)
  local oldest = ''
  for _, id in ipairs(redis.call('LRANGE', list, 0, FIRST - 1)) do
    local job = redis.pcall('HMGET', job_prefix .. id, 'enqueued_at', 'created_at')
    local since = not job.err and (job[1] or job[2])
    if since and since ~= '' and (oldest == '' or since < oldest) then oldest = since end
  end
  return oldest
end

for i, list in ipairs(KEYS) do
  local queue = ARGV[4 + i]
  local function count(kind)
    return redis.call('ZCARD', registry(kind, queue))
  end
  queues[i] = {
    redis.call('LLEN', list), count('wip'), count('scheduled'), count('deferred') + count('ready'),
    count('failed'), oldest_of(list),
  }
end
for _, key in ipairs(redis.call('SRANDMEMBER', rq .. ':workers', ARGV[4])) do
  local worker = redis.call('HMGET', key, 'last_heartbeat', 'queues', 'state', 'drq', 'death')
  if worker[1] and not worker[5] then
    workers[#workers + 1] = {
      string.sub(key, #rq + #':worker:' + 1), worker[1], worker[2] or '', worker[3] or '', worker[4] or '',
    }
  end
end
local answer = {
  queues, redis.call('SCARD', rq .. ':workers'), workers, redis.call('SCARD', unprotected_key),
  redis.call('EXISTS', rq .. ':suspended'), redis.call('SMEMBERS', paused_key),
}
return cjson.encode(answer)
