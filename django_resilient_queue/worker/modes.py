"""Which store a worker claims from, what it says of that to the others, and the changes between."""

from __future__ import annotations

from redis.exceptions import ResponseError

from .. import events, signals
from ..conf import settings
from ..exceptions import StoreError, StoreRefused
from ..meter import Key, Kind
from ..models import BrokerState, Outage
from ..models.worker_heartbeat import Mode
from ..recovery.homecoming import learn_epoch, note_epoch, tell_redis, tell_redis_of
from ..recovery.pausing import tell_pauses
from ..recovery.station import Station
from ..stores import measures
from ..stores.base import boottime
from ..stores.brokers import probe
from ..stores.links import Reconnected
from .exposed import Exposed
from .hand import Hand
from .heartbeat import Heartbeat

_PATIENCE_WITH_LOST = 0.5  # seconds that a database which did not answer may take to answer again


class Modes:
    """The mode of one worker. Redis and the database may each be away, together or in turn."""

    def __init__(self, station: Station, hand: Hand, queue_names: list[str]) -> None:
        self.station = station
        self.hand = hand
        self.heartbeat = Heartbeat(station, hand, queue_names)
        self.mode = Mode.STARTING
        self.database_is_here = True
        self.is_on_duty = False  # the one worker that reconciles
        self.exposed = Exposed(station)
        self._back_since = 0.0  # when the database came back, 0 when it never was away
        self._tried_at = 0.0
        self._probed_at = 0.0
        self._checked_at = 0.0

    # ---- questions -----------------------------------------------------------------------------

    @property
    def uses_redis(self) -> bool:
        """Tell whether jobs may be claimed from Redis: the heartbeat row says so, if it can."""
        if self.mode != Mode.REDIS:
            return False
        return not self.database_is_here or not self.heartbeat.has_lapsed

    @property
    def uses_database(self) -> bool:
        """Tell whether jobs may be claimed from the database."""
        return (
            self.mode == Mode.DATABASE and self.database_is_here and not self.heartbeat.has_lapsed
        )

    # ---- what the loop calls -------------------------------------------------------------------

    def tick(self) -> None:
        """Write the heartbeat, probe Redis, come home: whatever is due."""
        now = boottime()
        pace = settings.HEARTBEAT_INTERVAL * (1 if self.database_is_here else 2)
        if now - self._tried_at >= pace:
            self._tried_at = now
            self._beat()
        if now - self._probed_at >= settings.PROBE_INTERVAL:
            self._look_for_redis()
        elif self.mode == Mode.REDIS and now - self._checked_at >= settings.HEALTH_CHECK_INTERVAL:
            # Behind a proxy or a Sentinel another server may have taken over without a word.
            self.come_home()

    def lose(self, error: StoreError) -> None:
        """A store did not answer: go on with the other."""
        if error.store == "database":
            self.lose_database(error)
        else:
            self.lose_redis(error)

    def lose_redis(self, error: StoreError) -> None:
        """Claim from the database from now on, and say so at once."""
        if self.mode == Mode.DATABASE:
            return
        if isinstance(error, Reconnected):
            self.come_home()
            return
        events.REDIS_LOST.log(worker=self.station.name, cause=error)
        self.mode = Mode.DATABASE
        self._probed_at = boottime()
        self._beat()
        self._report_outage(error)

    def lose_database(self, error: StoreError) -> None:
        """Go on without rows until the database answers a heartbeat again."""
        if self.database_is_here:
            events.DATABASE_LOST.log(worker=self.station.name, cause=error)
        self.database_is_here = False
        self.station.redis.may_forget = False
        # One that hangs is asked with less patience: the jobs in Redis must not wait for it.
        self.station.table.timeout = min(settings.DATABASE_TIMEOUT, _PATIENCE_WITH_LOST)

    def come_home(self) -> bool:
        """Go (back) to Redis: announce it, tell Redis what the database did, then claim there."""
        before, self.mode = self.mode, Mode.STARTING
        link = self.station.redis.link
        link.wary, self._checked_at = False, boottime()
        try:
            probe(link)
            link.wary = True  # from here on it is this very connection whose server we learn
            epoch, run_id = learn_epoch(self.station)
            self.exposed.tell(epoch)
            self.station.redis.epoch = epoch
            if self._announce():
                note_epoch(self.station, epoch, run_id)
                tell_redis(self.station)
                tell_pauses(self.station)
            else:
                tell_redis_of(self.station, self.hand.every_claim())
        except StoreError as error:
            self._stay_away(before, error)
            return False
        except ResponseError as error:  # a key that every worker needs is spoilt
            self._stay_away(before, StoreRefused(error))
            return False
        self.mode = Mode.REDIS
        self._end_outage()
        if before != Mode.REDIS:
            events.REDIS_IN_USE.log(worker=self.station.name, epoch=epoch)
        return True

    def leave(self) -> None:
        """Take the heartbeat row away: this worker ends."""
        self.write_measures()
        try:
            with self.station.table.statement():
                self.heartbeat.take_away()
                states = BrokerState.objects.using(self.station.table.alias)
                states.drop_duty(self.station.broker.address, self.station.name)
        except StoreError as error:
            events.HEARTBEAT_LEFT.log(worker=self.station.name, cause=error)

    def write_measures(self) -> None:
        """Write what this worker has counted. That it can't be written says nothing of the rows of
        jobs: whether the database is there the heartbeat finds out."""
        table = self.station.table
        try:
            measures.write(alias=table.alias, timeout=table.timeout)
        except StoreError as error:
            events.COUNTS_NOT_WRITTEN.log(cause=error)

    # ---- private -------------------------------------------------------------------------------

    def _look_for_redis(self) -> None:
        """Come home when Redis answers; go when it is too slow for those who report an outage.

        While it hangs the jobs wait for this look: so it has a producer's little patience, and
        the next one waits from its end.
        """
        try:
            if self.mode == Mode.DATABASE or (self.mode == Mode.REDIS and self._is_reported()):
                self.station.broker.probe()
        except StoreError as error:
            self._go_or_stay_away(error)
        else:
            if self.mode != Mode.REDIS:
                self.come_home()
        self._probed_at = boottime()

    def _go_or_stay_away(self, error: StoreError) -> None:
        if error.store == "database":
            self.lose_database(error)
        elif self.mode == Mode.REDIS:
            self.lose_redis(error)
        else:
            self._stay_away(self.mode, error)

    def _is_reported(self) -> bool:
        """Tell whether somebody has found Redis away."""
        if not self.database_is_here:
            return False
        with self.station.table.statement():
            outages = Outage.objects.using(self.station.table.alias)
            return outages.open(self.station.broker.address).exists()

    def _stay_away(self, before: Mode, error: StoreError) -> None:
        if error.store == "database":
            self.lose_database(error)
            self.mode = before
            self.heartbeat.lapse()  # when it is back, Redis is told from the start
            return
        self.mode = Mode.DATABASE
        if before != Mode.DATABASE:
            events.REDIS_AWAY.log(worker=self.station.name, cause=error)
            self._report_outage(error)
        self._beat()

    def _beat(self) -> None:
        """Write the row; a row that has lapsed in mode redis is written by coming home again."""
        try:
            if self.mode == Mode.REDIS and self.heartbeat.has_lapsed:
                with self.station.table.statement():
                    self.heartbeat.ask()
                self._found_database()
                self.come_home()
                return
            with self.station.table.transaction():
                if self.mode != Mode.REDIS:
                    self._lock()
                self.heartbeat.write(self.mode)
            self.heartbeat.was_committed()
            self._watch_others()
        except StoreError as error:
            self.lose_database(error)
            return
        self._wrote()

    def _watch_others(self) -> None:
        """Read the others' rows: at once where decisions hang on them, else often enough not to
        lose sight of them."""
        watch = self.station.watch
        decides = self.is_on_duty or self.mode != Mode.REDIS
        if decides or boottime() - watch.looked_at > settings.LEASE / 4:
            with self.station.table.statement():
                watch.look()

    def _announce(self) -> bool:
        """Commit mode redis under the lock; False with the database away, then there is none to."""
        try:
            with self.station.table.transaction():
                self._lock()
                self.heartbeat.write(Mode.REDIS)
            self.heartbeat.was_committed()
            with self.station.table.statement():
                self.station.watch.look()
        except StoreError as error:
            self.lose_database(error)
            self.heartbeat.lapse()  # the row may say another mode
            return False
        self._wrote()
        return True

    def _found_database(self) -> None:
        if not self.database_is_here:
            events.DATABASE_IN_USE.log(worker=self.station.name)
            self._back_since = boottime()
        self.database_is_here = True

    def _wrote(self) -> None:
        self._found_database()
        self.station.table.timeout = settings.DATABASE_TIMEOUT
        self.heartbeat.went_out()
        # Rows of jobs that ended meanwhile may not have been looked at yet: until they surely have
        # been, Redis forgets no settled id.
        long_enough = boottime() - self._back_since > settings.SETTLED_KEEP
        self.station.redis.may_forget = self._back_since == 0 or long_enough

    def _lock(self) -> None:
        BrokerState.objects.using(self.station.table.alias).lock(self.station.broker.address)

    def _report_outage(self, error: StoreError) -> None:
        address = self.station.broker.address
        try:
            with self.station.table.statement():
                outages = Outage.objects.using(self.station.table.alias)
                if not outages.begin(address, cause=str(error), reported_by=self.station.name):
                    return
                outage = outages.open(address).first()
            measures.count(Key(Kind.OUTAGE))
        except StoreError as problem:
            self.lose_database(problem)
            return
        signals.outage_started.send_robust(Outage, outage=outage)

    def _end_outage(self) -> None:
        address = self.station.broker.address
        if not self.database_is_here:
            return
        try:
            with self.station.table.statement():
                outages = Outage.objects.using(self.station.table.alias)
                if not outages.end(address):
                    return
                outage = outages.filter(broker=address).order_by("-pk").first()
        except StoreError as problem:
            self.lose_database(problem)
            return
        signals.outage_ended.send_robust(Outage, outage=outage)
