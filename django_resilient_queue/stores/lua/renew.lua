-- Renew the entries of what a worker executes. 4 worker, 5 seconds until expiry, 6 now (seconds),
-- 7 now (rq's text), then id, execution id and queue of each. Answers the execution ids that are
-- no longer this worker's, and whether rq knows the worker.
local worker, ttl, now = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local lost = {}
for i = 8, #ARGV, 3 do
  local id, eid, queue = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid) then
    local execution = rq .. ':execution:' .. id .. ':' .. eid
    redis.call('ZADD', registry('wip', queue), now + ttl, id .. ':' .. eid)
    redis.call('ZADD', rq .. ':executions:' .. id, now + ttl + 60, eid)
    redis.call('EXPIRE', rq .. ':executions:' .. id, ttl + 60)
    redis.call('HSET', execution, 'last_heartbeat', ARGV[6])
    redis.call('EXPIRE', execution, ttl)
    redis.call('HSET', job_prefix .. id, 'last_heartbeat', ARGV[7])
  else
    lost[#lost + 1] = eid
  end
end
redis.call('EXPIRE', rq .. ':worker:' .. worker .. ':executions', ttl + 60)
local known = redis.call('EXISTS', rq .. ':worker:' .. worker)
if known == 1 then
  redis.call('HSET', rq .. ':worker:' .. worker, 'last_heartbeat', ARGV[7])
end
return {known, lost}
