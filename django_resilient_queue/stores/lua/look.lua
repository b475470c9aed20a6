-- Say what Redis knows of a row: settled, dead, known, older, absent, or deleted. 4 queue, 5 id, 6 generation,
-- 7 attempt, 8 '1' to look into the list as well (costs the list's length), 9 epoch that the looker knows.
local queue, id, generation, attempt = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
if redis.call('ZSCORE', settled_key, id .. ':' .. generation) then
  return 'settled'
end
if clear_if_no_job(job_prefix .. id) then
  return 'absent'
end
local copy = redis.call('HMGET', job_prefix .. id, 'drq_generation', 'drq_attempt', 'status', 'drq_dead', 'origin', 'drq_done')
if copy[4] == generation then
  return 'dead'
end
if copy[6] == generation then
  return 'settled'
end
-- Nothing of the job is left, while the rest of rq's keys is there, and is what the looker knows:
-- somebody has deleted it. After a FLUSHALL the first push makes the rest look whole.
if not copy[3] and redis.call('GET', epoch_key) == ARGV[9]
    and redis.call('SISMEMBER', rq .. ':queues', queue_prefix .. queue) == 1
    and not redis.call('LPOS', queue_prefix .. queue, id) then
  return 'deleted'
end
if copy[1] ~= generation or copy[3] == 'created' then
  return 'absent'
end
if copy[3] == 'finished' or copy[3] == 'canceled' or copy[3] == 'stopped' then
  return 'settled'
end
if copy[3] == 'failed' then
  return 'dead'
end
if (tonumber(copy[2]) or 0) < attempt then
  return 'older'
end
if copy[3] == 'started' then
  for _, eid in ipairs(redis.call('ZRANGE', rq .. ':executions:' .. id, 0, -1)) do
    if redis.call('ZSCORE', registry('wip', copy[5] or queue), id .. ':' .. eid) then
      return 'known'
    end
  end
  return 'absent'
end
if ARGV[8] == '1' and copy[3] == 'queued' and redis.call('LLEN', queue_prefix .. queue) < 20000
    and not redis.call('LPOS', queue_prefix .. queue, id) then
  return 'absent'
end
return 'known'
