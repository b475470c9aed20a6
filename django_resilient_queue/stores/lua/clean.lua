-- Delete records of jobs that have ended. 4 queue, 5 finished or failed, 6 the time before which they
-- ended, as rq writes times, 7 how many entries of the registry are looked at, 8 from which on.
-- Answers how many were deleted and how many were looked at. A death without a letter is kept: the
-- record is all that there is of it; so is what others still wait for.
local queue, kind, before = ARGV[4], ARGV[5], ARGV[6]
local from, most = tonumber(ARGV[8]), tonumber(ARGV[7])
require_writable()
local key = registry(kind, queue)
local ids = redis.call('ZRANGE', key, from, from + most - 1)
local done = 0
for _, id in ipairs(ids) do
  local job = job_prefix .. id
  local copy = read(job, 'ended_at', 'status', 'drq_lettered')
  local over = copy[1] and copy[1] ~= '' and copy[1] < before
  local safe = kind == 'finished' or (copy[3] and copy[3] ~= '')
  if copy[2] == kind and over and safe and redis.call('SCARD', job .. ':dependents') == 0 then
    redis.call('ZREM', key, id)
    redis.call('DEL', job, job .. ':dependents', rq .. ':results:' .. id)
    done = done + 1
  end
end
return {done, #ids}
