-- Give a generation to jobs in a list that have none: plain rq pushed them, or a dashboard requeued
-- them. They are listed as unprotected, so that each gets a row. 4 queue, 5 generation (a number is
-- appended), 6 and 7 the part of the list to look at. Answers {how many were looked at, adopted}.
local ids = redis.call('LRANGE', queue_prefix .. ARGV[4], ARGV[6], ARGV[7])
local adopted = 0
for i, id in ipairs(ids) do
  local key = job_prefix .. id
  clear_if_no_job(key)
  local job = redis.call('HMGET', key, 'drq_generation', 'created_at')
  if job[2] and not job[1] then
    redis.call('HSET', key, 'drq_generation', ARGV[5] .. string.format('%04x', i), 'drq_version', 0,
               'drq_attempt', 0)
    redis.call('HDEL', key, 'drq_done', 'drq_dead', 'drq_lettered')
    redis.call('SADD', unprotected_key, id)
    adopted = adopted + 1
  end
end
return {#ids, adopted}
