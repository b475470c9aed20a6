-- Move scheduled jobs that are due to their list. 4 scheduler (a worker's name), 5 now (seconds),
-- 6 now (rq's text), 7 most at once, 8 seconds that the scheduler's lock holds, then queues' names.
-- rq's own scheduler and ours exclude each other by rq's lock. Jobs with a rate limit go rq's way:
-- answers the count of moved jobs, then queue and id of those.
local me, now = ARGV[4], ARGV[5]
local moved, limited = 0, {}
for i = 9, #ARGV do
  local queue = ARGV[i]
  local lock = rq .. ':scheduler-lock:' .. queue
  local holder = redis.call('GET', lock)
  if not holder or holder == me then
    redis.call('SET', lock, me, 'EX', ARGV[8])
    local due = redis.call('ZRANGEBYSCORE', registry('scheduled', queue), '-inf', now, 'LIMIT', 0, ARGV[7])
    for _, id in ipairs(due) do
      local key = job_prefix .. id
      clear_if_no_job(key)
      local job = redis.call('HMGET', key, 'created_at', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'rate_limit_key')
      if job[5] then
        limited[#limited + 1] = queue
        limited[#limited + 1] = id
      else
        redis.call('ZREM', registry('scheduled', queue), id)
        if job[1] then
          redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[6])
          local again = job[3] == '1' and job[4] and job[4] ~= ''
          put(id, queue, (again or job[2] == '1') and 'front' or 'back')
          moved = moved + 1
        end
      end
    end
  end
end
table.insert(limited, 1, moved)
return limited
