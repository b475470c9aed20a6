-- Drop the copy of a job that the database executes, and fence its id against an older push.
-- 4 queue, 5 id, 6 generation, 7 version below which a push is refused, 8 seconds to keep the fence.
local queue, id, generation = ARGV[4], ARGV[5], ARGV[6]
local key, mark = job_prefix .. id, id .. ':' .. generation
redis.call('SET', fence_key(mark), ARGV[7], 'EX', ARGV[8])
clear_if_no_job(key)
if redis.call('HGET', key, 'drq_generation') == generation then
  withdraw(id, queue)
  redis.call('DEL', key)
  redis.call('SREM', unprotected_key, id)
  return 1
end
return 0
