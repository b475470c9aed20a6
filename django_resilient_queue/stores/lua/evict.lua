-- Drop the copy of a job that the database executes, and fence its id against an older push.
-- 4 queue, 5 id, 6 generation, 7 version below which a push is refused, 8 seconds to keep the fence,
-- 9 key of its rate limit, 10 how many of it may run, 11 until when the job may run.
local queue, id, generation, limit = ARGV[4], ARGV[5], ARGV[6], ARGV[9]
local key, mark = job_prefix .. id, id .. ':' .. generation
redis.call('SET', fence_key(mark), ARGV[7], 'EX', ARGV[8])
clear_if_no_job(key)
if redis.call('HGET', key, 'drq_generation') == generation then
  withdraw(id, queue)
  redis.call('DEL', key)
  redis.call('SREM', unprotected_key, id)
end
-- Without its hash rq would take its slot for leaked, but for an execution that still lives.
if limit ~= '' and not redis.call('ZSCORE', settled_key, mark) then
  local slots = rq .. ':rl:' .. limit
  redis.call('SADD', rq .. ':rl-keys', limit)
  redis.call('HSET', slots, 'concurrency', ARGV[10])
  redis.call('ZREM', slots .. ':rate_limited', id)
  redis.call('ZADD', slots .. ':allowed', redis.call('TIME')[1], id)
  redis.call('ZADD', rq .. ':executions:' .. id, ARGV[11], elsewhere)
end
