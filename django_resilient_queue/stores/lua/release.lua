-- Give a started job back to its list. 4 queue, 5 id, 6 execution id, 7 '1' for a rescue (its worker
-- is gone). Answers how often the job was rescued, or -1 when the entry is not there any more.
local queue, id, eid = ARGV[4], ARGV[5], ARGV[6]
local key = job_prefix .. id
require_writable()
if not redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid) then
  return -1
end
end_execution(id, eid, queue)
clear_if_no_job(key)
if redis.call('EXISTS', key) == 0 then
  return -1
end
redis.call('HSET', key, 'status', 'queued', 'worker_name', '')
put(id, queue, 'front')
if ARGV[7] == '1' then
  return redis.call('HINCRBY', key, 'drq_rescues', 1)
end
return 0
