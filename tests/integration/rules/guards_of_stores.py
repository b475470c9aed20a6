"""Guards: what keeps the rules in the stores."""

from __future__ import annotations

from tests.integration.rules.guard import Guard

GUARDS_OF_STORES = {
    "versions": (
        Guard(
            "a claim raises nothing",
            "models/fallback_job.py",
            "            claim_token=token,\n"
            '            version=F("version") + 1,\n'
            "        )\n"
            "\n"
            "    def dispatch",
            "            claim_token=token,\n        )\n\n    def dispatch",
        ),
        Guard(
            "a drain raises nothing",
            "models/fallback_job.py",
            '            version=F("version") + 1,\n            check_at=look_at',
            "            check_at=look_at",
        ),
        Guard(
            "a decision to push raises nothing",
            "recovery/pushing.py",
            '                version=F("version") + 1,\n',
            "",
        ),
        Guard(
            "the fence not asked",
            "stores/lua/push.lua",
            "if fence and version < tonumber(fence) then",
            "if false then",
        ),
        Guard(
            "a producer marks any version ready",
            "models/fallback_job.py",
            "            version=0,\n",
            "",
        ),
        Guard(
            "a drain gives back any version",
            "recovery/drain.py",
            "filter(pk=row.pk, version=row.version)",
            "filter(pk=row.pk)",
        ),
    ),
    "lock": (
        Guard(
            "a claim without the lock",
            "stores/claiming.py",
            "            BrokerState.objects.using(self.table.alias).lock(self.broker)\n"
            "            candidates",
            "            candidates",
            database="postgres",
        ),
        Guard(
            "a change of mode without the lock",
            "worker/modes.py",
            "            with self.station.table.transaction():\n"
            "                self._lock()\n"
            "                self.heartbeat.write(Mode.REDIS)",
            "            with self.station.table.transaction():\n"
            "                self.heartbeat.write(Mode.REDIS)",
            database="postgres",
        ),
        Guard(
            "no second look under the lock",
            "stores/claiming.py",
            "            if candidates.alone and self.watch is not None:\n"
            "                self.watch.look()\n"
            "                candidates = self._candidates(queue_names)\n",
            "",
        ),
    ),
    "ready_is_clean": (
        Guard(
            "given back as ready whatever the copy",
            "models/fallback_job.py",
            "clean = self.claimed().filter(redis_copy=False)",
            "clean = self.claimed()",
        ),
        Guard(
            "retried as ready whatever the copy",
            "stores/rows.py",
            '"state": State.DISPATCHED if copy else State.READY',
            '"state": State.READY',
        ),
        Guard(
            "ready after an ambiguous push",
            "intake.py",
            "return isinstance(_problem(request, answer), StoreRefused)",
            "return isinstance(_problem(request, answer), StoreError)",
        ),
        Guard(
            "stored as ready after an ambiguous push",
            "intake.py",
            "state = State.READY if refused else State.DISPATCHED",
            "state = State.READY",
        ),
        Guard(
            "ready after an ambiguous drain",
            "recovery/drain.py",
            "isinstance(answer, StoreRefused)",
            "isinstance(answer, StoreError)",
        ),
    ),
    "settled_keeps": (
        Guard(
            "older ids trimmed at once",
            "stores/lua/settle.lua",
            "'-inf', clock - keep)",
            "'-inf', clock + 1)",
        ),
        Guard(
            "settled ids go with their rows",
            "worker/settling.py",
            "            self.station.table.ends.follow(batch)\n",
            "            self.station.table.ends.follow(batch)\n"
            '            self.station.redis.link.call("DEL", "drq:settled")\n',
        ),
        Guard(
            "the deadline not compared",
            "stores/lua/push.lua",
            "if tonumber(now) > deadline then",
            "if false then",
        ),
        Guard(
            "settled ids not asked",
            "stores/lua/push.lua",
            "if redis.call('ZSCORE', settled_key, mark) then",
            "if false then",
        ),
        Guard(
            "the age by the workers' clocks",
            "stores/lua/settle.lua",
            "local clock = tonumber(redis.call('TIME')[1])",
            "local clock = now",
        ),
        Guard(
            "forgotten while the database is away",
            "stores/redis.py",
            "settings.SETTLED_KEEP if self.may_forget else 0",
            "settings.SETTLED_KEEP",
        ),
        Guard(
            "the database's return unnoticed after a lapse",
            "worker/modes.py",
            "                self._found_database()\n                self.come_home()",
            "                self.database_is_here = True\n                self.come_home()",
        ),
    ),
    "tombstone": (
        Guard(
            "a death deletes its row",
            "stores/ends.py",
            "        elif copy or ",
            "        elif (copy and end.ending is not Ending.DEAD) or ",
        ),
    ),
    "attempts": (
        Guard(
            "any copy is as new",
            "stores/lua/push.lua",
            " and (tonumber(copy[2]) or 0) >= attempt then",
            " then",
        ),
        Guard(
            "outdated copies stay on a return",
            "recovery/homecoming.py",
            "rows.dispatched().filter(stale_copy=True)",
            "rows.none()",
        ),
        Guard(
            "reconcile leaves outdated copies",
            "stores/lua/look.lua",
            "  return 'older'",
            "  return 'known'",
        ),
        Guard(
            "an outdated copy rescued", "recovery/rescue.py", " and attempt <= claim.attempt", ""
        ),
    ),
    "known_only": (
        Guard(
            "recorded by Redis whatever it knows",
            "stores/lua/settle.lua",
            "      return 'unknown'",
            "      return 'won'",
        ),
        Guard(
            "recorded by the database whatever it knows",
            "stores/database.py",
            "            if unknown and not good and not claim.bare:",
            "            if False:",
        ),
        Guard(
            "a death recorded after another's end",
            "stores/lua/settle.lua",
            "if ending == 'dead' and copy",
            "if false and copy",
        ),
    ),
    "generation": (
        Guard(
            "pushes compared by id alone",
            "stores/lua/push.lua",
            "key, mark = job_prefix .. id, id .. ':' .. generation",
            "key, mark = job_prefix .. id, id",
        ),
        Guard(
            "fences by id alone",
            "stores/lua/prelude.lua",
            "return ours .. ':fence:' .. mark",
            "return ours .. ':fence:' .. string.match(mark, '^[^:]*')",
        ),
        Guard(
            "settled in the copy of another",
            "stores/lua/settle.lua",
            "local same = copy[1] == generation",
            "local same = copy[1]",
        ),
        Guard(
            "rows deleted by id alone",
            "stores/ends.py",
            "                    generation__in=[claim.snapshot.generation for claim in over],\n",
            "",
        ),
        Guard(
            "letters by id alone",
            "migrations/0001_initial.py",
            'fields=("job_id", "generation"), name="drq_letter_once"',
            'fields=("job_id",), name="drq_letter_once"',
        ),
        Guard(
            "copies evicted by id alone",
            "stores/lua/evict.lua",
            "if redis.call('HGET', key, 'drq_generation') == generation then",
            "if true then",
        ),
        Guard(
            "told rows deleted whatever they are by now",
            "recovery/homecoming.py",
            "            generation__in=[row.generation for row in rows],  # not "
            "of a newer enqueue of the id\n",
            "",
        ),
        Guard(
            "rows found by id alone",
            "models/fallback_job.py",
            "return self.filter(job_id=job_id, generation=generation)",
            "return self.filter(job_id=job_id)",
        ),
        Guard(
            "one generation for all", "jobs.py", "return secrets.token_hex(16)", 'return "0" * 32'
        ),
    ),
    "epoch_push": (
        Guard(
            "a push of any epoch taken",
            "stores/lua/push.lua",
            "if ARGV[9] ~= '' and ARGV[9] ~= epoch then",
            "if false then",
        ),
        Guard(
            "a claim in any epoch",
            "stores/lua/claim.lua",
            "if epoch ~= ARGV[7] then",
            "if false then",
        ),
        Guard(
            "deleted in any epoch",
            "stores/lua/look.lua",
            " and redis.call('GET', epoch_key) == ARGV[9]\n",
            "\n",
        ),
        Guard(
            "a look at the Redis before counts",
            "recovery/reconcile.py",
            ", checks__gte=checks, check_at__lte=looked_at",
            "",
        ),
        Guard(
            "nothing looked at in a new epoch",
            "recovery/homecoming.py",
            "        rows.update(check_at=timezone.now(), checks=0)\n",
            "",
        ),
        Guard(
            "a refused push counts as pushed",
            "recovery/station.py",
            'answer.word in ("epoch", "expired")',
            "answer.word in ()",
        ),
        Guard(
            "a busy worker finds no other epoch",
            "recovery/reconcile.py",
            "        if isinstance(answer, PushRefused):\n            raise answer\n",
            "        del answer\n",
        ),
        Guard(
            "home with the epoch before",
            "worker/modes.py",
            "            self.station.redis.epoch = epoch\n            if self._announce():\n",
            "            if self._announce():\n",
        ),
    ),
}
