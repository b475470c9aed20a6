-- Record how attempts ended, each once. 4 now, 5 seconds that settled ids are kept (0: all of them),
-- 6 how many, then of each: queue, id, generation, attempt, execution id, worker, ending, ttl, place
-- (of a retry or repeat), seconds worked, '1' for a replay of what the database settled, ttl of the
-- job, '1' when a repeat wants a row, key of its rate limit, count of field words, count of the
-- result's words, and these.
-- Answers a word each: won, settled (recorded before), lost (another worker's job), unknown, or failed
-- (nothing is recorded: a key is spoilt); how many of the jobs have a follow-up; and what went wrong.
local now, keep, count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

require_writable()
-- Workers' clocks may differ by more than ids are kept: their age is measured by Redis's own.
local clock = tonumber(redis.call('TIME')[1])
if keep > 0 then
  redis.call('ZREMRANGEBYSCORE', settled_key, '-inf', clock - keep)
end

-- What workers have done and have no more in hand: written once for all.
local workers = {}
local follow_ups = 0

-- What is written once for all jobs, at the end: keys to delete, jobs that need no row any more,
-- and scores and ids for each queue's registry of finished jobs.
local over, protected, finished = {}, {}, {}
local settled = {}  -- by id and generation, whether that end was recorded before

local function note_finished(queue, score, id)
  finished[queue] = finished[queue] or {}
  table.insert(finished[queue], score)
  table.insert(finished[queue], id)
end

local function worker_named(name)
  workers[name] = workers[name] or {good = 0, bad = 0, seconds = 0, done = {}}
  return workers[name]
end

-- Each with what makes it the only one of its end: it is taken off the list when it has been seen to,
-- and another end of the same id may have been noted meanwhile.
local function note_follow_up(queue, id, unique, limit)
  redis.call('SADD', followups_key, cjson.encode({queue, id, unique, limit}))
  follow_ups = follow_ups + 1
end

local function settle(at)
  local queue, id, generation, attempt = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local eid, worker, ending = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local ttl, place, replay = tonumber(ARGV[at + 7]), ARGV[at + 8], ARGV[at + 10] == '1'
  local limit, fields, words = ARGV[at + 13], tonumber(ARGV[at + 14]), tonumber(ARGV[at + 15])
  local first = at + 16
  local key, mark, entry = job_prefix .. id, id .. ':' .. generation, id .. ':' .. eid
  local results = rq .. ':results:' .. id
  local good = ending == 'finished' or ending == 'repeat'

  local copy = read(key, 'drq_generation', 'status', 'dependency_ids', 'drq_dead')
  local waiting = redis.call('SCARD', key .. ':dependents') > 0
  if ending == 'retry' or ending == 'repeat' then
    if tonumber(place) then
      require_kind(registry('scheduled', queue), 'zset')
    else
      require_kind(queue_prefix .. queue, 'list')
    end
  end
  -- Up to here nothing has changed: what fails is tried again. From here on nothing may fail before
  -- the end is recorded.
  local mine = redis.call('ZREM', registry('wip', queue), entry) == 1
  local is_settled = settled[mark]
  -- A deleted job's execution is still there: it keeps rq from giving away the job's slot.
  if eid ~= '' then
    over[#over + 1] = rq .. ':execution:' .. entry
    redis.pcall('ZREM', rq .. ':executions:' .. id, eid)
    table.insert(worker_named(worker).done, entry)
  end
  if replay then
    redis.pcall('ZREM', rq .. ':executions:' .. id, elsewhere)
  end
  if is_settled then
    -- A death that was recorded before, its reply lost, goes on to its letter; one after another
    -- worker's end of the job is nobody's.
    if ending == 'dead' and copy[4] ~= generation then
      return 'lost'
    end
    return 'settled'
  end
  local same = copy[1] == generation
  if not mine and not replay then
    if not good and not same then
      if limit ~= '' then note_follow_up(queue, id, eid ~= '' and eid or generation, limit) end
      return 'unknown'
    end
    if same and not (good and copy[2] == 'queued') then
      return 'lost'
    end
  end
  if same and not mine then
    withdraw(id, queue)
  end

  local function save(...)
    local changes = {unpack(ARGV, first, first + fields - 1)}
    for _, word in ipairs({...}) do
      changes[#changes + 1] = word
    end
    if #changes > 0 then
      redis.call('HSET', key, unpack(changes))
    end
    if words > 0 then
      redis.pcall('XADD', results, 'MAXLEN', 10, '*', unpack(ARGV, first + fields, first + fields + words - 1))
      if ttl > 0 then redis.call('EXPIRE', results, ttl) else redis.call('PERSIST', results) end
    end
  end

  -- Without its generation the hash may be requeued by a dashboard: the claim draws a new one.
  local function save_and_forget(name)
    redis.call('HDEL', key, 'drq_generation', 'drq_version', 'drq_rescues')
    save(name, generation)
  end

  local function expire()
    if ttl <= 0 then
      redis.call('PERSIST', key)
      return
    end
    redis.call('EXPIRE', key, ttl)
    if waiting then redis.call('EXPIRE', key .. ':dependents', ttl) end
    if copy[3] then redis.call('EXPIRE', job_prefix .. ':' .. id .. ':dependencies', ttl) end
  end

  local score = '+inf'
  if ttl >= 0 then score = now + ttl end

  -- A copy of another generation is a newer enqueue of this id: its hash is not ours to write. And
  -- without a copy the few fields of an outcome would make a hash that is no job.
  local foreign = not same and (not replay or redis.call('EXISTS', key) == 1)
  if ending == 'retry' then
    save('drq_attempt', attempt + 1)
    if tonumber(ARGV[at + 11]) > 0 then redis.call('EXPIRE', key, ARGV[at + 11]) end
    put(id, queue, place)
  else
    redis.call('ZADD', settled_key, clock, mark)
    settled[mark] = true
    if foreign then
      if limit ~= '' then note_follow_up(queue, id, eid ~= '' and eid or generation, limit) end
      return 'won'
    end
    if ending ~= 'repeat' or ARGV[at + 12] ~= '1' then
      protected[#protected + 1] = id  -- ended: it needs no row any more
    end
    if ending == 'finished' then
      if ttl == 0 and waiting then
        save()
        redis.call('EXPIRE', key, 60)  -- the follow-up still reads it
      elseif ttl == 0 then
        redis.call('DEL', key, key .. ':dependents', job_prefix .. ':' .. id .. ':dependencies', results)
      else
        save_and_forget('drq_done')
        expire()
        note_finished(queue, score, id)
      end
    elseif ending == 'repeat' then
      save_and_forget('drq_done')
      redis.call('PERSIST', key)
      if ttl ~= 0 then note_finished(queue, score, id) end
      put(id, queue, place)
      if ARGV[at + 12] == '1' then redis.call('SADD', unprotected_key, id) end
    else
      if ttl == 0 then
        ttl = 3600  -- kept until its dead letter is written, then discarded
        score = now + ttl
        redis.call('HSET', key, 'drq_discard', '1')
      end
      save_and_forget(ending == 'dead' and 'drq_dead' or 'drq_done')
      expire()
      redis.call('ZADD', registry('failed', queue), score, id)
    end
  end
  local sums = worker_named(worker)
  if good then sums.good = sums.good + 1 else sums.bad = sums.bad + 1 end
  sums.seconds = sums.seconds + tonumber(ARGV[at + 9])
  if (waiting and ending ~= 'retry') or limit ~= '' then
    note_follow_up(queue, id, eid ~= '' and eid or generation, limit)
  end
  return 'won'
end

local marks = {}

local function read_settled()
  local at = 7
  for i = 1, count do
    marks[i] = ARGV[at + 1] .. ':' .. ARGV[at + 2]
    at = at + 16 + tonumber(ARGV[at + 14]) + tonumber(ARGV[at + 15])
  end
  for i, score in ipairs(redis.call('ZMSCORE', settled_key, unpack(marks))) do
    settled[marks[i]] = score
  end
end

read_settled()
local answers, problem, at = {}, nil, 7
for i = 1, count do
  -- What goes wrong with one must not keep the others' sums from being written.
  local ok, answer = pcall(settle, at)
  if not ok then
    problem = problem or answer
  end
  answers[i] = ok and answer or (settled[marks[i]] and 'settled' or 'failed')
  at = at + 16 + tonumber(ARGV[at + 14]) + tonumber(ARGV[at + 15])
end
if #over > 0 then redis.call('DEL', unpack(over)) end
if #protected > 0 then redis.call('SREM', unprotected_key, unpack(protected)) end
for queue, words in pairs(finished) do
  local added = redis.pcall('ZADD', registry('finished', queue), unpack(words))
  if type(added) == 'table' and added.err then problem = problem or added end
end
for name, sums in pairs(workers) do
  local key = rq .. ':worker:' .. name
  if #sums.done > 0 then
    redis.call('SREM', key .. ':executions', unpack(sums.done))
  end
  if sums.good + sums.bad > 0 and redis.call('EXISTS', key) == 1 then
    if sums.good > 0 then redis.call('HINCRBY', key, 'successful_job_count', sums.good) end
    if sums.bad > 0 then redis.call('HINCRBY', key, 'failed_job_count', sums.bad) end
    redis.call('HINCRBYFLOAT', key, 'total_working_time', tostring(sums.seconds))
  end
end
return {table.concat(answers, ' '), follow_ups, problem and text_of(problem) or ''}
