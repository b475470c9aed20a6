"""Guards: what keeps the rules where jobs enter, in the worker and its housekeeping."""

from __future__ import annotations

from tests.integration.rules.guard import Guard

GUARDS_OF_WORKERS = {
    "mode_first": (
        Guard(
            "announced after Redis was told",
            "worker/modes.py",
            "            if self._announce():\n"
            "                note_epoch(self.station, epoch, run_id)\n"
            "                tell_redis(self.station)\n"
            "                tell_pauses(self.station)\n"
            "            else:\n"
            "                tell_redis_of(self.station, self.hand.every_claim())\n",
            "            note_epoch(self.station, epoch, run_id)\n"
            "            tell_redis(self.station)\n"
            "            if not self._announce():\n"
            "                tell_redis_of(self.station, self.hand.every_claim())\n",
        ),
        Guard(
            "Redis told nothing",
            "worker/modes.py",
            "                tell_redis(self.station)\n",
            "",
        ),
        Guard(
            "a heartbeat that never lapses",
            "worker/heartbeat.py",
            "        return boottime() - self.wrote_at > settings.LEASE * _LAPSE",
            "        return False",
        ),
        Guard(
            "home without the database, and done with it",
            "worker/modes.py",
            "            self.heartbeat.lapse()  # the row may say another mode\n",
            "",
        ),
        Guard(
            "the database lost in between, and done with it",
            "worker/modes.py",
            "            self.heartbeat.lapse()  # when it is back, Redis is told from the start\n",
            "",
        ),
        Guard(
            "a new connection like the old one",
            "worker/modes.py",
            "            link.wary = True",
            "            link.wary = False",
        ),
    ),
    "evict": (
        Guard(
            "copies of claimed rows stay",
            "recovery/homecoming.py",
            "        _evict(station, batch)\n",
            "        pass\n",
        ),
        Guard(
            "no fence",
            "stores/lua/evict.lua",
            "redis.call('SET', fence_key(mark), ARGV[7], 'EX', ARGV[8])\n",
            "",
        ),
        Guard(
            "copies taken out of others' hands",
            "recovery/homecoming.py",
            "            continue  # Redis's",
            "            pass  # Redis's",
        ),
        Guard(
            "nothing withdrawn without the database",
            "worker/modes.py",
            "                tell_redis_of(self.station, self.hand.every_claim())\n",
            "                pass\n",
        ),
        Guard(
            "fences rounded down",
            "stores/redis.py",
            "math.ceil(settings.SETTLED_KEEP)",
            "int(settings.SETTLED_KEEP)",
        ),
    ),
    "settle_again": (
        Guard(
            "settled counts as lost",
            "worker/settling.py",
            "verdict in (Verdict.WON, Verdict.SETTLED) and",
            "verdict is Verdict.WON and",
        ),
    ),
    "recheck": (
        Guard(
            "the age of a claim not compared",
            "worker/supply.py",
            "self.give_back([claim for claim in self.waiting if claim.taken_at < limit])",
            "self.give_back([])",
        ),
        Guard(
            "the age of a claim counted from its answer",
            "stores/redis.py",
            "taken_at=asked_at,",
            "taken_at=boottime(),",
        ),
    ),
    "drain_marks": (
        Guard(
            "pushed, then marked",
            "recovery/drain.py",
            "    answers = push_rows(station, decide_ready(station, limit))\n",
            "    table = station.table\n"
            "    ready = "
            "list(table.rows.on_queues(station.queue_names).ready()[:limit])\n"
            "    answers = push_rows(station, ready)\n"
            "    decide_ready(station, limit)\n",
        ),
        Guard(
            "marked whatever the state",
            "models/fallback_job.py",
            "return self.filter(pk__in=pks, state=State.READY).update(\n"
            "            state=State.DISPATCHED",
            "return self.filter(pk__in=pks).update(\n            state=State.DISPATCHED",
            database="postgres",
        ),
        Guard(
            "claimed whoever was faster",
            "stores/claiming.py",
            "        if won == len(rows):\n",
            "        if True:\n",
            database="postgres",
        ),
        Guard(
            "claimed whoever was faster, where rows are found without a lock",
            "stores/claiming.py",
            " if taken.get(row.pk) == (row.generation, row.version + 1)]",
            "]",
        ),
    ),
    "flight_to_end": (
        Guard(
            "ended jobs not listed",
            "worker/hand.py",
            "        return [*self.claims.values(), *ended]",
            "        return [*self.claims.values()]",
        ),
        Guard(
            "jobs that only Redis knows to have ended not listed",
            "worker/hand.py",
            "(*self.ended.values(), *self.aside.values(), *self.untold)",
            "self.ended.values()",
        ),
    ),
    "renew_by_id": (
        Guard(
            "a live worker's name renews everything",
            "recovery/rescue.py",
            "    return station.watch.wrote_since(owner, station.suspicions.mark(key))",
            "    return False",
        ),
        Guard(
            "another claim of the id renews this one",
            "recovery/rescue.py",
            "(job_id, token) in seen.in_flight",
            "seen.holds(job_id)",
        ),
    ),
    "rescue_asks": (
        Guard(
            "the row not asked",
            "recovery/rescue.py",
            "    return state not in (State.CLAIMED, State.FINISHED) and attempt",
            "    return attempt",
        ),
        Guard(
            "the heartbeats not asked",
            "recovery/rescue.py",
            "    if not _is_let_go(station, worker_name, claim.job_id, claim.token):\n"
            "        return False\n"
            "    if station.is_held(claim.job_id):\n"
            "        return False\n",
            "",
        ),
        Guard(
            "spared entries left to expire",
            "recovery/rescue.py",
            "        _renew(station, queue_name, spared)\n",
            "",
        ),
        Guard(
            "buried whatever Redis says",
            "recovery/rescue.py",
            "        if station.redis.settle(claim, end) in (Verdict.WON, Verdict.SETTLED):",
            "        if station.redis.settle(claim, end):",
        ),
    ),
    "observed": (
        Guard(
            "the observer's own silence counts",
            "stores/watch.py",
            "if self.looking_since is None or now - self.looked_at > self.lease() / 2:",
            "if self.looking_since is None:",
        ),
    ),
    "both_tried": (
        Guard(
            "refused with an open circuit",
            "intake.py",
            "        if permit or not stored:\n",
            "        if cause and not permit:\n"
            "            raise StoresUnavailableError(requests[0].snapshot.job_id, "
            "cause, cause)\n"
            "        if permit or not stored:\n",
        ),
        Guard(
            "refused after the commit with an open circuit",
            "intake.py",
            "        permit = self.broker.permit()\n"
            "        self._push(requests, permit, stored=False, cause=cause)",
            "        permit = self.broker.permit()\n"
            "        if not permit:\n"
            "            raise StoresUnavailableError(requests[0].snapshot.job_id, "
            "cause, cause)\n"
            "        self._push(requests, permit, stored=False, cause=cause)",
        ),
    ),
    "tx_waits": (
        Guard(
            "pushed at once when the insert failed",
            "intake.py",
            "self._on_commit(lambda: self._accept_bare(requests, cause), robust=False)",
            "self._accept_bare(requests, cause)",
        ),
        Guard(
            "pushed at once",
            "intake.py",
            "self._on_commit(lambda: then(requests), robust=True)",
            "then(requests)",
        ),
    ),
    "backfill": (
        Guard(
            "jobs without a row not listed",
            "stores/lua/push.lua",
            "if ARGV[14] == '1' then",
            "if false then",
        ),
        Guard(
            "no row written",
            "recovery/backfill.py",
            "    station.table.insert_missing(entry)",
            "    pass",
        ),
        Guard(
            "always the first attempt",
            "recovery/backfill.py",
            "redis_copy=True, attempt=attempt",
            "redis_copy=True",
        ),
        Guard(
            "listed after the end",
            "stores/lua/settle.lua",
            "      protected[#protected + 1] = id  -- ended: it needs no row any more\n",
            "",
        ),
    ),
}
