-- Record how an attempt ended, once. 4 queue, 5 id, 6 generation, 7 attempt, 8 execution id,
-- 9 worker, 10 ending, 11 now, 12 seconds that settled ids are kept (0: all of them), 13 ttl, 14 place (of a retry or
-- repeat), 15 seconds worked, 16 '1' for a replay of what the database settled, 17 ttl of the job,
-- 18 '1' when a repeat wants a row, 19 count of field words, then these, then the result's words.
-- Answers {word, 1 when dependents or a rate limit want a follow-up}.
local queue, id, generation, attempt = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local eid, worker, ending = ARGV[8], ARGV[9], ARGV[10]
local now, keep, ttl, place = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
local replay = ARGV[16] == '1'
local words = tonumber(ARGV[19])
local key, mark = job_prefix .. id, id .. ':' .. generation
local results = rq .. ':results:' .. id
local good = ending == 'finished' or ending == 'repeat'

require_writable()
-- Workers' clocks may differ by more than ids are kept: their age is measured by Redis's own.
local clock = tonumber(redis.call('TIME')[1])
if keep > 0 then
  redis.call('ZREMRANGEBYSCORE', settled_key, '-inf', clock - keep)
end
clear_if_no_job(key)
if redis.call('ZSCORE', settled_key, mark) then
  end_execution(id, eid, queue)
  -- A death that was recorded before, its reply lost, goes on to its letter; one after another
  -- worker's end of the job is nobody's.
  if ending == 'dead' and redis.call('HGET', key, 'drq_dead') ~= generation then
    return {'lost', 0}
  end
  return {'settled', 0}
end
local copy = redis.call('HMGET', key, 'drq_generation', 'status', 'rate_limit_key')
local same = copy[1] == generation
local mine = redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid)
if not mine and not replay then
  if not good and not same then
    return {'unknown', 0}
  end
  if same and not (good and copy[2] == 'queued') then
    return {'lost', 0}
  end
end
if same and not mine then
  withdraw(id, queue)
end
if mine then
  end_execution(id, eid, queue)
end

local function save()
  if words > 0 then
    redis.call('HSET', key, unpack(ARGV, 20, 19 + words))
  end
  if #ARGV > 19 + words then
    redis.call('XADD', results, 'MAXLEN', 10, '*', unpack(ARGV, 20 + words))
    if ttl > 0 then redis.call('EXPIRE', results, ttl) else redis.call('PERSIST', results) end
  end
end

-- Without its generation the hash may be requeued by a dashboard: the claim draws a new one.
local function forget(name)
  redis.call('HDEL', key, 'drq_generation', 'drq_version', 'drq_rescues')
  redis.call('HSET', key, name, generation)
end

local function expire()
  if ttl > 0 then
    for _, k in ipairs({key, key .. ':dependents', job_prefix .. ':' .. id .. ':dependencies'}) do
      redis.call('EXPIRE', k, ttl)
    end
  else
    redis.call('PERSIST', key)
  end
end

local function score()
  if ttl < 0 then return '+inf' end
  return now + ttl
end

local waiting = redis.call('SCARD', key .. ':dependents') > 0
-- A copy of another generation is a newer enqueue of this id: its hash is not ours to write. And
-- without a copy the few fields of an outcome would make a hash that is no job.
local foreign = not same and (not replay or redis.call('EXISTS', key) == 1)
if ending == 'retry' then
  save()
  redis.call('HSET', key, 'drq_attempt', attempt + 1)
  if tonumber(ARGV[17]) > 0 then redis.call('EXPIRE', key, ARGV[17]) end
  put(id, queue, place)
else
  redis.call('ZADD', settled_key, clock, mark)
  if foreign then
    return {'won', 0}
  end
  redis.call('SREM', unprotected_key, id)  -- ended: it needs no row any more
  if ending == 'finished' then
    if ttl == 0 and waiting then
      save()
      redis.call('EXPIRE', key, 60)  -- the follow-up still reads it
    elseif ttl == 0 then
      redis.call('DEL', key, key .. ':dependents', job_prefix .. ':' .. id .. ':dependencies', results)
    else
      save()
      forget('drq_done')
      expire()
      redis.call('ZADD', registry('finished', queue), score(), id)
    end
  elseif ending == 'repeat' then
    save()
    forget('drq_done')
    redis.call('PERSIST', key)
    if ttl ~= 0 then redis.call('ZADD', registry('finished', queue), score(), id) end
    put(id, queue, place)
    if ARGV[18] == '1' then redis.call('SADD', unprotected_key, id) end
  else
    if ttl == 0 then
      ttl = 3600  -- kept until its dead letter is written, then discarded
      redis.call('HSET', key, 'drq_discard', '1')
    end
    save()
    forget(ending == 'dead' and 'drq_dead' or 'drq_done')
    expire()
    redis.call('ZADD', registry('failed', queue), score(), id)
  end
end
if redis.call('EXISTS', rq .. ':worker:' .. worker) == 1 then
  redis.call('HINCRBY', rq .. ':worker:' .. worker,
             good and 'successful_job_count' or 'failed_job_count', 1)
  redis.call('HINCRBYFLOAT', rq .. ':worker:' .. worker, 'total_working_time', ARGV[15])
end
if (waiting and ending ~= 'retry') or copy[3] then
  redis.call('SADD', followups_key, queue .. ' ' .. id)
  return {'won', 1}
end
return {'won', 0}
