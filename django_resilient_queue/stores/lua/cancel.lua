-- Take a job out of its queue before anybody starts it. 4 queue, 5 id, 6 generation ('' for any),
-- 7 now, 8 seconds to keep the hash. Answers cancelled, active, ended, other (a newer enqueue) or
-- absent. The settled id refuses a push that is still on its way.
local queue, id, generation, now, ttl = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local key = job_prefix .. id
require_writable()
local copy = read(key, 'drq_generation', 'status', 'rate_limit_key')
local own = copy[1] or ''
if generation ~= '' and own ~= '' and own ~= generation then
  return 'other'
end
local mark = id .. ':' .. (generation ~= '' and generation or own)
if copy[2] == 'started' or redis.call('ZCARD', rq .. ':executions:' .. id) > 0 then
  return 'active'
end
if copy[2] == 'finished' or copy[2] == 'failed' or copy[2] == 'stopped' or copy[2] == 'canceled' then
  return 'ended'
end
redis.call('ZADD', settled_key, redis.call('TIME')[1], mark)
redis.call('SREM', unprotected_key, id)
if not copy[2] then
  return 'absent'
end
withdraw(id, queue)
if copy[3] and copy[3] ~= '' then
  redis.pcall('ZREM', rq .. ':rl:' .. copy[3] .. ':rate_limited', id)
end
redis.call('HDEL', key, 'drq_generation', 'drq_version', 'drq_rescues')
redis.call('HSET', key, 'status', 'canceled', 'ended_at', now, 'drq_done', own)
redis.call('EXPIRE', key, ttl)
redis.call('ZADD', registry('canceled', queue), redis.call('TIME')[1] + ttl, id)
return 'cancelled'
