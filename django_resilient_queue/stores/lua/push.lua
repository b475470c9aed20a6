-- Put one job into Redis unless it is settled, fenced, too late, of another epoch, or there already.
-- 4 queue, 5 id, 6 generation, 7 version, 8 attempt, 9 epoch that the pusher knows, 10 epoch to
-- begin when Redis has none, 11 deadline (by Redis's clock), 12 place, 13 ttl of the hash,
-- 14 bare (no row), 15 unique, then the fields of the hash. Answers {word, epoch, Redis's clock}.
local queue, id, generation = ARGV[4], ARGV[5], ARGV[6]
local version, attempt = tonumber(ARGV[7]), tonumber(ARGV[8])
local deadline = tonumber(ARGV[11])
local key, mark = job_prefix .. id, id .. ':' .. generation

local now = redis.call('TIME')[1]
if tonumber(now) > deadline then
  return {'expired', redis.call('GET', epoch_key) or '', now}
end
local epoch = redis.call('GET', epoch_key)
if not epoch then
  epoch = ARGV[10]
  redis.call('SET', epoch_key, epoch)
end
if ARGV[9] ~= '' and ARGV[9] ~= epoch then
  return {'epoch', epoch, now}
end
if redis.call('ZSCORE', settled_key, mark) then
  return {'settled', epoch, now}
end
require_writable()
local fence = redis.call('GET', fence_key(mark))
if fence and version < tonumber(fence) then
  return {'fenced', epoch, now}
end
local copy = redis.call('HMGET', key, 'drq_generation', 'drq_attempt', 'status', 'origin')
if redis.call('EXISTS', key) == 1 then
  if ARGV[15] == '1' then
    return {'duplicate', epoch, now}
  end
  -- 'created' is a copy whose pusher died before rq had put it anywhere.
  if copy[1] == generation and copy[3] ~= 'created' and (tonumber(copy[2]) or 0) >= attempt then
    return {'known', epoch, now}
  end
  withdraw(id, copy[4] or queue)
  redis.call('DEL', key)
end
redis.call('HSET', key, 'drq_generation', generation, 'drq_version', version, 'drq_attempt', attempt,
           unpack(ARGV, 16))
if tonumber(ARGV[13]) > 0 then
  redis.call('EXPIRE', key, ARGV[13])
end
-- It is about to wait, perhaps for a slot: what it held while the database executed it is free.
redis.call('ZREM', rq .. ':executions:' .. id, elsewhere)
local limit = redis.call('HGET', key, 'rate_limit_key')
if limit then
  redis.call('ZREM', rq .. ':rl:' .. limit .. ':allowed', id)
end
put(id, queue, ARGV[12])
if ARGV[14] == '1' then
  redis.call('SADD', unprotected_key, id)
end
return {'pushed', epoch, now}
