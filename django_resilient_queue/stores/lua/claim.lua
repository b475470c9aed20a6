-- Move up to n jobs from the lists into rq's started registries, in the order of the queues.
-- KEYS are the lists. 4 worker, 5 claim id, 6 n, 7 epoch that the worker knows, 8 seconds until the
-- entry expires, 9 now (seconds), 10 now (rq's text), 11 '1' when jobs without a row want one, then
-- the queues' names. A repeated claim id gets the same jobs again: a lost reply costs nothing.
local worker, claim_id, limit = ARGV[4], ARGV[5], tonumber(ARGV[6])
local ttl, now = tonumber(ARGV[8]), tonumber(ARGV[9])
local epoch = redis.call('GET', epoch_key) or ''
if epoch ~= ARGV[7] then
  return {'epoch', epoch}
end
if redis.call('EXISTS', rq .. ':suspended') == 1 then
  return {'suspended', epoch}
end
local memory = ours .. ':claim:' .. worker
local answer = {'claimed', epoch}

local function tell(id, eid, queue)
  clear_if_no_job(job_prefix .. id)
  answer[#answer + 1] = {id, eid, queue, redis.call('SISMEMBER', unprotected_key, id),
                         redis.call('HGETALL', job_prefix .. id)}
end

if redis.call('LINDEX', memory, 0) == claim_id then
  for _, entry in ipairs(redis.call('LRANGE', memory, 1, -1)) do
    local id, eid, queue = string.match(entry, '^(%S+) (%S+) (.*)$')
    if redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid) then
      tell(id, eid, queue)
    end
  end
  return answer
end

local function start(id, eid, queue, key)
  local execution = rq .. ':execution:' .. id .. ':' .. eid
  redis.call('HSET', execution, 'id', eid, 'job_id', id, 'created_at', ARGV[9],
             'last_heartbeat', ARGV[9], 'worker_name', worker, 'drq', '1')
  redis.call('EXPIRE', execution, ttl)
  redis.call('ZADD', rq .. ':executions:' .. id, now + ttl + 60, eid)
  redis.call('EXPIRE', rq .. ':executions:' .. id, ttl + 60)
  redis.call('ZADD', registry('wip', queue), now + ttl, id .. ':' .. eid)
  local mine = rq .. ':worker:' .. worker .. ':executions'
  redis.call('SADD', mine, id .. ':' .. eid)
  redis.call('EXPIRE', mine, ttl + 60)
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[10], 'last_heartbeat', ARGV[10],
             'worker_name', worker)
  redis.call('HDEL', key, 'drq_done', 'drq_dead', 'drq_lettered', 'drq_discard')  -- of an earlier death
  redis.call('PERSIST', key)
end

require_writable()
redis.call('DEL', memory)
redis.call('RPUSH', memory, claim_id)
redis.call('EXPIRE', memory, 3600)
for i, list in ipairs(KEYS) do
  local queue = ARGV[11 + i]
  local open = redis.call('SISMEMBER', ours .. ':paused', queue) == 0
  while open and #answer - 2 < limit do
    local id = redis.call('LPOP', list)
    if not id then break end
    local key = job_prefix .. id
    clear_if_no_job(key)
    local generation = redis.call('HGET', key, 'drq_generation')
    if redis.call('EXISTS', key) == 1 and not (generation and redis.call('ZSCORE', settled_key, id .. ':' .. generation)) then
      local eid = claim_id .. string.format('%04x', #answer - 2)
      if not generation then
        redis.call('HSET', key, 'drq_generation', eid, 'drq_version', 0, 'drq_attempt', 0)
        if ARGV[11] == '1' then redis.call('SADD', unprotected_key, id) end
      end
      start(id, eid, queue, key)
      redis.call('RPUSH', memory, id .. ' ' .. eid .. ' ' .. queue)
      tell(id, eid, queue)
    end
  end
end
return answer
