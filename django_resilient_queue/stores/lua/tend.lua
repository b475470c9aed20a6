-- All that a worker tells and asks when it has nothing else to say: its entries and its own key are
-- renewed, and scheduled jobs that are due go to their lists. 4 worker, 5 seconds until an entry
-- expires, 6 now (seconds), 7 now (rq's text), 8 state, 9 seconds until the worker's key expires,
-- 10 most jobs to move at once, 11 seconds that the scheduler's lock holds, 12 how many claims, then
-- id, execution id and queue of each, then the names of the queues whose scheduled jobs count.
-- Answers {whether rq knows the worker, execution ids that are no longer this worker's, whether it
-- is the scheduler of any queue, queue and id in turn of jobs with a rate limit, how many follow-ups
-- wait, whether rq is suspended, paused queues, where and what in turn of what went wrong}.
local worker, ttl, now, now_text = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local first_queue = 13 + 3 * tonumber(ARGV[12])

-- A key of the wrong type is one job's trouble, or one queue's: the others have theirs seen to.
local troubles = {}

local function attempt(where, what, ...)
  local ok, problem = pcall(what, ...)
  if not ok then
    troubles[#troubles + 1] = where
    troubles[#troubles + 1] = text_of(problem)
  end
end

local lost = {}

-- What has been deleted meanwhile is not to come back as a hash with nothing but a heartbeat.
local function beat(key, moment)
  if redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'last_heartbeat', moment)
  end
end

local function renew(id, eid, queue)
  local execution = rq .. ':execution:' .. id .. ':' .. eid
  if not redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid) then
    lost[#lost + 1] = eid
    return
  end
  redis.call('ZADD', registry('wip', queue), now + ttl, id .. ':' .. eid)
  attempt(job_prefix .. id, beat, job_prefix .. id, now_text)
  attempt(execution, beat, execution, ARGV[6])
  redis.call('EXPIRE', execution, ttl)
  redis.call('ZADD', rq .. ':executions:' .. id, now + ttl + 60, eid)
  redis.call('EXPIRE', rq .. ':executions:' .. id, ttl + 60)
end

local function renew_worker()
  local key = rq .. ':worker:' .. worker
  if redis.call('TYPE', key).ok ~= 'hash' then
    return 0  -- it registers again
  end
  redis.call('HSET', key, 'last_heartbeat', now_text, 'state', ARGV[8], 'drq', '1')
  redis.call('EXPIRE', key, ARGV[9])
  return 1
end

local limited, schedules = {}, 0

local function promote(queue)
  local due = redis.call('ZRANGEBYSCORE', registry('scheduled', queue), '-inf', now, 'LIMIT', 0, ARGV[10])
  for _, id in ipairs(due) do
    local key = job_prefix .. id
    clear_if_no_job(key)
    local job = redis.call('HMGET', key, 'created_at', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'rate_limit_key')
    if job[5] then
      -- These go rq's way.
      limited[#limited + 1] = queue
      limited[#limited + 1] = id
    else
      redis.call('ZREM', registry('scheduled', queue), id)
      if job[1] then
        redis.call('HSET', key, 'status', 'queued', 'enqueued_at', now_text)
        local again = job[3] == '1' and job[4] and job[4] ~= ''
        put(id, queue, (again or job[2] == '1') and 'front' or 'back')
      end
    end
  end
end

-- rq's own scheduler and ours exclude each other by rq's lock.
local function is_scheduler(queue)
  local lock = rq .. ':scheduler-lock:' .. queue
  local holder = redis.call('GET', lock)
  if holder and holder ~= worker then
    return false
  end
  redis.call('SET', lock, worker, 'EX', ARGV[11])
  return true
end

local function schedule(queue)
  if is_scheduler(queue) then
    schedules = 1
    promote(queue)
  end
end

for i = 13, first_queue - 1, 3 do
  attempt(registry('wip', ARGV[i + 2]), renew, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
redis.call('EXPIRE', rq .. ':worker:' .. worker .. ':executions', ttl + 60)
local known = renew_worker()
for i = first_queue, #ARGV do
  attempt(registry('scheduled', ARGV[i]), schedule, ARGV[i])
end
return {known, lost, schedules, limited, redis.call('SCARD', followups_key),
        redis.call('EXISTS', rq .. ':suspended'), redis.call('SMEMBERS', paused_key), troubles}
