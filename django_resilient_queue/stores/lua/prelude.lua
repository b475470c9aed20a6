-- Shared by every script: names of keys, and taking a job out of wherever it is.
-- ARGV[1] is rq's key prefix, ARGV[2] the prefix of job hashes, ARGV[3] that of queue lists.
-- All keys carry rq's prefix, so a prefix with a hash tag keeps them in one cluster slot, as in rq.
local rq, job_prefix, queue_prefix = ARGV[1], ARGV[2], ARGV[3]
local ours = 'd' .. rq
local settled_key = ours .. ':settled'
local epoch_key = ours .. ':epoch'
local unprotected_key = ours .. ':unprotected'
local followups_key = ours .. ':followups'
-- The execution of a limited job that the database executes: rq leaves its slot to it.
local elsewhere = 'drq-database'
local paused_key = ours .. ':paused'  -- names of queues; '' stands for all

-- Redis out of memory refuses growing writes only: one of them first, or half a script would apply.
local function require_writable()
  redis.call('SET', ours .. ':writable', '1', 'EX', 60)
end

-- What a pcall says of an error: a table or a text, by the version of Redis.
local function text_of(problem)
  return type(problem) == 'table' and problem.err or tostring(problem)
end

-- What Redis says of a key of the wrong type does not name the key.
local function require_kind(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    error('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind, 0)
  end
end

local function registry(kind, queue)
  return rq .. ':' .. kind .. ':' .. queue
end

local function fence_key(mark)
  return ours .. ':fence:' .. mark
end

-- A key of a job that is no hash is nobody's job: left there, it would fail every script about that
-- id, and so every worker. Only workers clear it; a producer's push reports it as the mistake it is.
local function clear_if_no_job(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
    return true
  end
  return false
end

-- The fields of a job's hash, or of its absence.
local function read(key, ...)
  local values = redis.pcall('HMGET', key, ...)
  if values.err then
    clear_if_no_job(key)
    return {}
  end
  return values
end

local function end_execution(id, eid, queue)
  local execution = rq .. ':execution:' .. id .. ':' .. eid
  local worker = redis.call('HGET', execution, 'worker_name')
  redis.call('ZREM', registry('wip', queue), id .. ':' .. eid)
  redis.call('DEL', execution)
  redis.call('ZREM', rq .. ':executions:' .. id, eid)
  if worker then
    redis.call('SREM', rq .. ':worker:' .. worker .. ':executions', id .. ':' .. eid)
  end
end

-- Take a copy out of list, registries and executions; the hash itself stays with the caller.
local function withdraw(id, queue)
  -- A spoilt list or registry holds nothing that could be taken out.
  redis.pcall('LREM', queue_prefix .. queue, 0, id)
  for _, eid in ipairs(redis.pcall('ZRANGE', rq .. ':executions:' .. id, 0, -1)) do
    end_execution(id, eid, queue)
  end
  for _, kind in ipairs({'scheduled', 'deferred', 'failed', 'finished', 'canceled', 'ready'}) do
    redis.pcall('ZREM', registry(kind, queue), id)
  end
end

-- place: 'back' or 'front' of the list, 'nowhere', or the second at which the job is due.
local function put(id, queue, place)
  redis.call('SADD', rq .. ':queues', queue_prefix .. queue)
  if place == 'back' then
    redis.call('RPUSH', queue_prefix .. queue, id)
  elseif place == 'front' then
    redis.call('LPUSH', queue_prefix .. queue, id)
  elseif place ~= 'nowhere' then
    redis.call('ZADD', registry('scheduled', queue), place, id)
  end
end
