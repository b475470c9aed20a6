-- Move up to n jobs from the lists into rq's started registries, in the order of the queues.
-- KEYS are the lists. 4 worker, 5 claim id, 6 n, 7 epoch that the worker knows, 8 seconds until the
-- entry expires, 9 now (seconds), 10 now (rq's text), 11 '1' when jobs without a row want one, then
-- the queues' names. A repeated claim id gets the same jobs again: a lost reply costs nothing.
-- Answers {word, epoch, jobs, paused queues, queue and trouble in turn of those with a spoilt key};
-- of each job {id, execution id, queue, 1 when it has no
-- row, its hash}, as JSON in which each byte stands for the character of its number: a client reads
-- one long string ten times faster than many short ones.
local worker, claim_id, limit = ARGV[4], ARGV[5], tonumber(ARGV[6])
local ttl, now = tonumber(ARGV[8]), tonumber(ARGV[9])
local epoch = redis.call('GET', epoch_key) or ''
if epoch ~= ARGV[7] then
  return {'epoch', epoch}
end
if redis.call('EXISTS', rq .. ':suspended') == 1 then
  return {'suspended', epoch, '[]', {}, {}}
end
local memory = ours .. ':claim:' .. worker
local mine = rq .. ':worker:' .. worker .. ':executions'
require_kind(memory, 'list')
require_kind(mine, 'set')
local jobs, told, paused, claimed = {}, {}, {}, 0

local function hash_of(key)
  local hash = redis.pcall('HGETALL', key)
  if hash.err then
    clear_if_no_job(key)
    return {}
  end
  return hash
end

local function tell(id, eid, queue, hash)
  told[#told + 1] = id
  jobs[#jobs + 1] = {id, eid, queue, 0, hash}
end

local function encoded()
  if #told == 0 then return '[]' end
  for i, is_bare in ipairs(redis.call('SMISMEMBER', unprotected_key, unpack(told))) do
    jobs[i][4] = is_bare
  end
  return cjson.encode(jobs)
end

if redis.call('LINDEX', memory, 0) == claim_id then
  for _, entry in ipairs(redis.call('LRANGE', memory, 1, -1)) do
    local id, eid, queue = string.match(entry, '^(%S+) (%S+) (.*)$')
    local hash = hash_of(job_prefix .. id)
    if #hash > 0 and redis.call('ZSCORE', registry('wip', queue), id .. ':' .. eid) then
      tell(id, eid, queue, hash)
    end
  end
  return {'claimed', epoch, encoded(), {}, {}}
end

-- What is written once for all jobs, at the end.
local remembered, executions, in_progress = {claim_id}, {}, {}

local function start(id, eid, queue, key)
  local execution, entry = rq .. ':execution:' .. id .. ':' .. eid, id .. ':' .. eid
  table.insert(in_progress[queue], now + ttl)
  table.insert(in_progress[queue], entry)
  remembered[#remembered + 1] = id .. ' ' .. eid .. ' ' .. queue
  executions[#executions + 1] = entry
  redis.call('HSET', execution, 'id', eid, 'job_id', id, 'created_at', ARGV[9],
             'last_heartbeat', ARGV[9], 'worker_name', worker, 'drq', '1')
  redis.call('EXPIRE', execution, ttl)
  redis.call('ZADD', rq .. ':executions:' .. id, now + ttl + 60, eid)
  redis.call('EXPIRE', rq .. ':executions:' .. id, ttl + 60)
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[10], 'last_heartbeat', ARGV[10],
             'worker_name', worker)
  redis.call('PERSIST', key)
end

-- Of a job whose failure_ttl is 0 rq deletes all at its death, and rq may bury it before a worker of
-- ours sees that: this much is kept until its letter is written.
local HELD = '3600'

-- A job that died before carries marks of its death; returns its generation.
local function look_through(key, hash)
  local generation, has_marks, ttl, is_held
  for i = 1, #hash, 2 do
    local name = hash[i]
    if name == 'drq_generation' then
      generation = hash[i + 1]
    elseif name == 'failure_ttl' then
      ttl = hash[i + 1]
    elseif name == 'drq_discard' then
      is_held = true
    elseif name == 'drq_done' or name == 'drq_dead' or name == 'drq_lettered' then
      has_marks = true
    end
  end
  if has_marks then
    redis.call('HDEL', key, 'drq_done', 'drq_dead', 'drq_lettered')
  end
  if ttl == '0' then
    redis.call('HSET', key, 'failure_ttl', HELD, 'drq_discard', '1')
  elseif is_held and ttl ~= HELD then
    redis.call('HDEL', key, 'drq_discard')
  end
  return generation
end

-- Jobs that are there and have not ended.
local function open_among(ids)
  local found, marks, open = {}, {}, {}
  for _, id in ipairs(ids) do
    local key = job_prefix .. id
    local hash = hash_of(key)
    if #hash > 0 then
      local generation = look_through(key, hash)
      found[#found + 1] = {id = id, key = key, hash = hash, generation = generation}
      marks[#marks + 1] = id .. ':' .. (generation or '')
    end
  end
  if #found == 0 then return open end
  for i, score in ipairs(redis.call('ZMSCORE', settled_key, unpack(marks))) do
    if not score then open[#open + 1] = found[i] end
  end
  return open
end

local function take(job, queue)
  local id, key, hash = job.id, job.key, job.hash
  local eid = claim_id .. string.format('%04x', claimed)
  claimed = claimed + 1
  start(id, eid, queue, key)
  if not job.generation then
    redis.call('HSET', key, 'drq_generation', eid, 'drq_version', 0, 'drq_attempt', 0)
    if ARGV[11] == '1' then redis.call('SADD', unprotected_key, id) end
    hash = hash_of(key)
  end
  tell(id, eid, queue, hash)
end

require_writable()
-- These keys are used when jobs have left their lists: what is wrong with one shows here, before.
require_kind(settled_key, 'zset')
require_kind(unprotected_key, 'set')
require_kind(paused_key, 'set')
local troubles = {}

-- A queue with a spoilt key is passed over; the others go on.
local function is_sound(list, queue)
  local ok, problem = pcall(function()
    require_kind(list, 'list')
    require_kind(registry('wip', queue), 'zset')
  end)
  if not ok then
    troubles[#troubles + 1] = queue
    troubles[#troubles + 1] = text_of(problem)
  end
  return ok
end

local MOST_SEEN = 2000
local problem
local seen = 0
local all_paused = redis.call('SISMEMBER', paused_key, '') == 1
for i, list in ipairs(KEYS) do
  local queue = ARGV[11 + i]
  if all_paused or redis.call('SISMEMBER', paused_key, queue) == 1 then
    paused[#paused + 1] = queue
  elseif is_sound(list, queue) then
    in_progress[queue] = {}
    -- Some of them may turn out to be none: then there is another round, but not without end.
    while claimed < limit and seen < MOST_SEEN do
      local ids = redis.call('LPOP', list, limit - claimed)
      if not ids then break end
      seen = seen + #ids
      for _, job in ipairs(open_among(ids)) do
        local ok, answer = pcall(take, job, queue)
        if not ok then problem = problem or answer end
      end
    end
    if #in_progress[queue] > 0 then
      redis.call('ZADD', registry('wip', queue), unpack(in_progress[queue]))
    end
  end
end
redis.call('DEL', memory)
redis.call('RPUSH', memory, unpack(remembered))
redis.call('EXPIRE', memory, 3600)
if claimed > 0 then
  redis.call('SADD', mine, unpack(executions))
  redis.call('EXPIRE', mine, ttl + 60)
end
if problem then
  return redis.error_reply(text_of(problem))
end
return {'claimed', epoch, encoded(), paused, troubles}
