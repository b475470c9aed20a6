"""Promises of alerts: each outage is told once, and nothing that they hang on holds up a job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from django_resilient_queue import enqueue
from django_resilient_queue.models import Alert, AlertNotice
from example_project.servers import RedisServer, ServerProcess
from tests.acceptance.conftest import StartWorkers
from tests.acceptance.executions import Executions, modes
from tests.acceptance.test_outages import Outages, frozen, killed
from tests.alerting import FILE, hanging_server
from tests.conftest import Ledger, StartWorker, WaitUntil
from tests.workers import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

TO_FILE = "tests.alerting.to_file"
OUTAGE = "redis_connection_failed"
SOON = {"ALERT_INTERVAL": 0.5, "ALERT_CALM": 1, "ALERT_TIMEOUT": 60}
NEVER: dict[str, Any] = {"ALERT_INTERVAL": 3600}


class Told:
    """What arrived by `TO_FILE`."""

    def __init__(self, path: Path) -> None:
        self.environment = {FILE: str(path)}
        self.gate = Path(f"{path}.gate")
        self._ledger = Ledger(path)

    def count(self, line: str) -> int:
        return Counter(self._ledger.lines)[line]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "alerts.txt")


def options(told: Told, channel: str = TO_FILE, **settings: Any) -> dict[str, Any]:
    values = {**SOON, "ALERT_CHANNELS": ["log", channel], **settings}
    return {"settings": values, "environment": told.environment}


def logged(workers: list[WorkerProcess], words: str) -> int:
    return sum(worker.output.count(words) for worker in workers)


@pytest.mark.parametrize("outage", [killed, frozen])
def test_one_outage_is_told_once_and_its_end_once(
    outage: Outages,
    workers: StartWorkers,
    redis_server: RedisServer,
    told: Told,
    wait_until: WaitUntil,
) -> None:
    started = workers(2, **options(told))
    with outage(redis_server):
        wait_until(lambda: told.count(f"{OUTAGE} fired"))
        wait_until(lambda: modes() == ["database"] * 2)
    wait_until(lambda: told.count(f"{OUTAGE} resolved"))
    wait_until(lambda: not AlertNotice.objects.filter(done_at=None).exists())
    assert (told.count(f"{OUTAGE} fired"), told.count(f"{OUTAGE} resolved")) == (1, 1)
    assert logged(started, f"alert fired rule={OUTAGE}") == 1
    assert logged(started, f"alert resolved rule={OUTAGE}") == 1


def test_an_outage_is_told_at_once(
    workers: StartWorkers, redis_server: RedisServer, told: Told, wait_until: WaitUntil
) -> None:
    """No look at the rules is due for an hour."""
    workers(2, **options(told, **NEVER))
    redis_server.kill()
    wait_until(lambda: told.count(f"{OUTAGE} fired") == 1)


def test_a_critical_death_is_told_at_once_and_without_its_payload(
    workers: StartWorkers, redis_server: RedisServer, told: Told, wait_until: WaitUntil
) -> None:
    (worker,) = workers(1, **options(told, **NEVER))
    enqueue("letter:vital", {"ledger": "secret-place", "value": "secret-value"}, queue="default")
    wait_until(lambda: told.count("critical_dead_letter fired") == 1)
    assert logged([worker], "critical job dead-lettered job_id=") == 1
    alert = Alert.objects.get(rule="critical_dead_letter")
    assert "letter:vital" in alert.message
    assert "secret" not in alert.message


def test_a_webhook_and_a_mail_server_that_hang_keep_no_job_waiting(
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    told: Told,
    wait_until: WaitUntil,
) -> None:
    with hanging_server() as web_port, hanging_server() as mail_port:
        settings = {
            **SOON,
            "ALERT_CHANNELS": ["mail", "webhook", TO_FILE],
            "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{web_port}/",
            "ALERT_WEBHOOK_SECRET": "hush",
        }
        environment = {
            **told.environment,
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.alert_settings",
            "DRQ_TEST_MAIL_PORT": str(mail_port),
        }
        workers(1, settings=settings, environment=environment)
        redis_server.kill()
        wait_until(lambda: AlertNotice.objects.filter(tries=1, channel="mail").exists())
        with executions.load(jobs=40) as load:
            executions.wait_for(40)
        # Both still hang, and the jobs are done.
        assert not AlertNotice.objects.filter(channel="webhook").exclude(problem="").exists()
    redis_server.start()
    executions.assert_complete(load)
    wait_until(lambda: told.count(f"{OUTAGE} fired") == 1)
    failed = AlertNotice.objects.exclude(problem="").values_list("channel", flat=True)
    wait_until(lambda: {"mail", "webhook"} <= set(failed.all()))


def test_what_a_killed_worker_did_not_send_is_sent_by_another(
    workers: StartWorkers, redis_server: RedisServer, told: Told, wait_until: WaitUntil
) -> None:
    """The first dies between writing the alert and sending it."""
    how = options(told, "tests.alerting.when_released")
    (first,) = workers(1, **how)
    redis_server.kill()
    wait_until(lambda: told.count(f"begin {OUTAGE}") == 1)
    first.kill()
    told.gate.touch()
    AlertNotice.objects.filter(done_at=None).update(try_at="2020-01-01T00:00Z")  # its time is over
    workers(1, mode="database", **options(told, "tests.alerting.when_released"))
    wait_until(lambda: told.count(f"{OUTAGE} fired") == 1)


def test_a_worker_tells_what_is_less_than_healthy(
    workers: StartWorkers, redis_server: RedisServer, told: Told, wait_until: WaitUntil
) -> None:
    workers(1, **options(told, ALERT_DELAYS={"degraded": 1, "queue_without_worker": 1}))
    redis_server.kill()
    wait_until(lambda: told.count("degraded fired") == 1)
    redis_server.start()
    wait_until(lambda: told.count("degraded resolved") == 1)
    wait_until(lambda: told.count("queue_without_worker fired") == 3)


def test_without_the_database_each_worker_logs_what_it_sees(
    worker_process: StartWorker,
    workers: StartWorkers,
    redis_server: RedisServer,
    database_server: ServerProcess,
    told: Told,
    wait_until: WaitUntil,
) -> None:
    started = workers(1, **options(told))
    database_server.kill()
    wait_until(lambda: logged(started, "alert fired rule=database_failed"))
    redis_server.kill()
    wait_until(lambda: logged(started, f"alert fired rule={OUTAGE}"))
    database_server.start()
    wait_until(lambda: logged(started, "alert resolved rule=database_failed"))
    assert logged(started, "alert fired rule=database_failed") == 1
