"""cleanup: what goes, what stays, and what is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.contrib.sessions.backends import file as file_sessions
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings
from rq.job import Job

from django_resilient_queue.exceptions import InvalidPayload, PermanentError
from django_resilient_queue.handlers.cleanups import Find, cleanup_task, cleanup_tasks
from django_resilient_queue.handlers.maintenance.cleanup.walking import walk
from django_resilient_queue.handlers.performing import PERFORM, perform
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import DeadLetter, Export
from django_resilient_queue.models.notification import Notification

pytestmark = pytest.mark.django_db
OLD = (1, 1)


def clean(*tasks: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Performs one cleanup of tasks and their options; returns its report."""
    each = [{"task": task, "options": options} for task, options in tasks]
    payload = registry.get("cleanup").payload({"tasks": each, **more})
    result = perform("cleanup", **payload)
    assert isinstance(result, dict)
    assert result["data"] is not None
    return result["data"]


def clean_twice(*tasks: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """First as a dry run, whose report is to be the same."""
    dry = clean(*tasks, dry_run=True)
    real = clean(*tasks)
    assert {**dry, "dry_run": False} == real
    return real


def errors_of(*tasks: tuple[str, dict[str, Any]], **more: Any) -> Any:
    with pytest.raises(InvalidPayload) as caught:
        clean(*tasks, **more)
    return caught.value.errors


def make(path: Path, *, old: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("xx")
    if old:
        os.utime(path, OLD)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def tmp_files(*patterns: str, **options: Any) -> tuple[str, dict[str, Any]]:
    return "temporary_files", {"root": "r", "patterns": patterns or ("*.tmp",), **options}


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    """An empty folder, the only one in which files may go."""
    folder = tmp_path / "root"
    folder.mkdir()
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "CLEANUP_ROOTS": {"r": str(folder)}}
    return folder


def test_old_files_that_fit_go_and_the_dry_run_told_so(root: Path) -> None:
    for name in ("a.tmp", "d/e/b.tmp", "keep.txt"):
        make(root / name)
    make(root / "young.tmp", old=False)
    report = clean_twice(tmp_files())
    assert (report["count"], report["size"], report["failed"]) == (2, 4, 0)
    assert sorted(report["tasks"][0]["names"]) == ["r:a.tmp", "r:d/e/b.tmp"]
    assert names(root) == ["keep.txt", "young.tmp"]


def test_a_dry_run_removes_nothing(root: Path) -> None:
    make(root / "a.tmp")
    assert clean(tmp_files(), dry_run=True)["count"] == 1
    assert names(root) == ["a.tmp"]


def test_rotated_logs_go_and_never_the_one_that_is_written(root: Path) -> None:
    for name in ("app.log", "app.log.1", "app.log-20300101", "app.log.2.gz"):
        make(root / name)
    report = clean_twice(("rotated_logs", {"root": "r"}))
    assert (report["count"], names(root)) == (3, ["app.log"])
    assert clean(("rotated_logs", {"root": "r", "patterns": ["*"]}))["count"] == 0


def test_links_to_files_and_folders_lead_nowhere(root: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside" / "c.tmp")
    (root / "folder.tmp").symlink_to(outside.parent)
    (root / "file.tmp").symlink_to(outside)
    for link in (root / "folder.tmp", root / "file.tmp"):
        os.utime(link, OLD, follow_symlinks=False)
    assert clean_twice(tmp_files("*"))["count"] == 0
    assert (outside.exists(), len(list(root.iterdir()))) == (True, 2)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_root_that_is_a_link_is_refused(tmp_path: Path, settings: Settings, end: str) -> None:
    outside = make(tmp_path / "outside" / "c.tmp")
    (tmp_path / "link").symlink_to(outside.parent)
    settings.RESILIENT_QUEUE = {"CLEANUP_ROOTS": {"r": f"{tmp_path / 'link'}{end}"}}
    with pytest.raises(PermanentError, match="is a symbolic link: name the folder itself"):
        clean(tmp_files("*"))
    assert outside.exists()


def test_a_folder_that_becomes_a_link_while_it_is_walked_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = make(tmp_path / "outside" / "a.tmp")
    inner = make(root / "d" / "a.tmp").parent
    open_ = os.open

    def swap_and_open(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if path == "d" and not inner.is_symlink():
            inner.rename(tmp_path / "moved")
            inner.symlink_to(outside.parent)
        return open_(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap_and_open)
    assert clean(tmp_files())["count"] == 0
    assert outside.exists()


@pytest.mark.parametrize("pattern", ["../*", "d/*", "/etc/*", "a\0", ""])
def test_a_pattern_that_names_a_folder_is_refused(root: Path, pattern: str) -> None:
    assert "patterns" in errors_of(tmp_files(pattern))["tasks"][0]["options"]


def test_a_pattern_of_dots_finds_nothing_above(root: Path, tmp_path: Path) -> None:
    above = make(tmp_path / "above.tmp")
    assert clean(tmp_files("..", "."))["count"] == 0
    assert above.exists()


def test_no_more_go_than_the_limit_and_the_report_says_so(root: Path) -> None:
    for number in range(3):
        make(root / f"{number}.tmp")
    dry = clean(tmp_files(), limit=2, dry_run=True)["tasks"][0]
    assert (dry["count"], dry["has_more"]) == (2, True)
    first = clean(tmp_files(), limit=2)["tasks"][0]
    assert (first["count"], first["has_more"], len(names(root))) == (2, True, 1)
    second = clean(tmp_files(), limit=2)["tasks"][0]
    assert (second["count"], second["has_more"], names(root)) == (1, False, [])


def test_what_can_not_be_removed_is_told_and_the_rest_goes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        make(root / f"{name}.tmp")
    unlink = os.unlink

    def refuse(name: Any, **kwargs: Any) -> None:
        if name == "b.tmp":
            raise PermissionError(13, "Permission denied")
        unlink(name, **kwargs)

    monkeypatch.setattr(os, "unlink", refuse)
    (report,) = clean(tmp_files())["tasks"]
    assert (report["count"], report["failed"]) == (2, 1)
    assert [error["name"] for error in report["errors"]] == ["r:b.tmp"]
    assert "Permission denied" in report["errors"][0]["error"]
    assert names(root) == ["b.tmp"]


def test_a_file_that_was_written_to_since_it_was_found_stays(
    root: Path,
) -> None:
    path = make(root / "a.tmp")
    for found in walk(str(root)):
        os.utime(path, (2, 2))
        assert found.remove() == 0
    assert path.exists()


@pytest.fixture
def add_task() -> Iterator[Callable[..., None]]:
    """Registers a task of the test, forgotten afterwards."""
    added: list[str] = []

    def add(name: str, function: Callable[..., Any]) -> None:
        cleanup_task(name)(function)
        added.append(name)

    yield add
    for name in set(added):
        cleanup_tasks.remove(name)


def test_a_task_that_breaks_off_is_raised_after_the_others(
    root: Path, add_task: Callable[..., None]
) -> None:
    def broken(options: Any, limit: int) -> Iterator[Find]:
        yield Find(lambda: 1, ("one",))
        raise ConnectionError("the storage is away")

    make(root / "a.tmp")
    add_task("broken", broken)
    with pytest.raises(ConnectionError, match="the storage is away"):
        clean(("broken", {}), tmp_files())
    assert names(root) == []


def test_the_report_of_a_later_attempt_is_of_all_attempts(
    root: Path, add_task: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went is counted once, and what stayed only as long as it stays."""

    def broken(options: Any, limit: int) -> list[Find]:
        raise ConnectionError("the storage is away")

    def refuse(name: Any, **kwargs: Any) -> None:
        if name == "b.tmp":
            raise PermissionError(13, "Permission denied")
        unlink(name, **kwargs)

    unlink = os.unlink
    for name in "ab":
        make(root / f"{name}.tmp")
    add_task("broken", broken)
    task, options = tmp_files()
    payload = {"tasks": [{"task": task, "options": options}, {"task": "broken"}]}
    job = Job.create(PERFORM, ("cleanup",), payload, connection=django_rq.get_connection())
    job.save_meta = lambda: None  # type: ignore[method-assign]
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.raises(ConnectionError):
            job.perform()
    cleanup_tasks.remove("broken")
    add_task("broken", lambda options, limit: [])
    data = job.perform()["data"]
    assert (data["count"], data["failed"], names(root)) == (2, 0, [])
    (report, _) = data["tasks"]
    assert (sorted(report["names"]), report["errors"]) == (["r:a.tmp", "r:b.tmp"], [])


def test_unknown_tasks_options_and_roots_are_errors_of_their_fields(root: Path) -> None:
    task = errors_of(("expired_session", {}))["tasks"][0]
    assert "Did you mean 'expired_sessions'?" in str(task["task"])
    option = errors_of(("expired_sessions", {"force": True}))["tasks"][0]
    assert list(option["options"]) == ["force"]
    of_files = errors_of(tmp_files(older=1))["tasks"][0]
    assert list(of_files["options"]) == ["older"]
    of_root = errors_of(("temporary_files", {"root": "/etc", "patterns": ["*"]}))["tasks"][0]
    assert list(of_root["options"]) == ["root"]
    young = errors_of(tmp_files(older_than=0))["tasks"][0]
    assert list(young["options"]) == ["older_than"]
    assert list(errors_of()) == ["tasks"]


def test_a_root_that_the_settings_have_no_more_is_a_permanent_error(
    root: Path, settings: Settings
) -> None:
    task = cleanup_tasks.find("temporary_files")
    assert task is not None
    settings.RESILIENT_QUEUE = {}
    with pytest.raises(PermanentError, match="CLEANUP_ROOTS has no 'r'"):
        list(task.function({"root": "r", "patterns": ["*"], "older_than": 60}, 1))


def session(engine: str, seconds: int) -> str:
    store = import_module(engine).SessionStore()
    store["user"] = 1
    store.set_expiry(timezone.now() + timedelta(seconds=seconds))
    store.save()
    return str(store.session_key)


def test_expired_sessions_of_the_database_go(settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    gone, kept = (session(settings.SESSION_ENGINE, seconds) for seconds in (-60, 600))
    report = clean_twice(("expired_sessions", {}))
    assert (report["count"], report["tasks"][0]["names"]) == (1, [])
    assert set(Session.objects.values_list("pk", flat=True)) == {kept}
    assert gone not in str(report)


def test_expired_sessions_in_files_go(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"
    monkeypatch.setattr(file_sessions.SessionStore, "_storage_path", str(tmp_path), raising=False)
    _gone, kept = (session(settings.SESSION_ENGINE, seconds) for seconds in (-60, 600))
    make(tmp_path / "other")
    assert len(names(tmp_path)) == 3
    assert clean_twice(("expired_sessions", {}))["count"] == 1
    assert names(tmp_path) == sorted([f"{settings.SESSION_COOKIE_NAME}{kept}", "other"])


def test_a_session_that_is_renewed_meanwhile_stays() -> None:
    key = session("django.contrib.sessions.backends.db", -60)
    task = cleanup_tasks.find("expired_sessions")
    assert task is not None
    (find,) = task.function({}, 10)
    Session.objects.filter(pk=key).update(expire_date=timezone.now() + timedelta(days=1))
    assert find.remove() == 0
    assert Session.objects.filter(pk=key).exists()


def test_sessions_in_a_cache_end_by_themselves(settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert clean_twice(("expired_sessions", {}))["count"] == 0


def exported(job_id: str, media: Path, **values: Any) -> Export:
    path = make(media / f"{job_id}.csv")
    now = timezone.now()
    given = {"state": "ready", "path": path.name, "storage": "default", "size": 2} | values
    common = {"requested_at": now, "user_key": "1", "datasets": [], "seen_at": now}
    given.setdefault("expires_at", now + timedelta(days=1))
    return Export.objects.create(job_id=job_id, token=job_id, **common, **given)


def test_expired_exports_lose_their_file_and_then_their_row(
    settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    now = timezone.now()
    exported("over", tmp_path, expires_at=now - timedelta(seconds=1))
    exported("cancelled", tmp_path, state="cancelled", ended_at=now - timedelta(days=400))
    exported("open", tmp_path)
    report = clean_twice(("expired_exports", {}))
    assert (report["count"], report["size"]) == (2, 4)
    assert names(tmp_path) == ["open.csv"]
    assert Export.objects.get(job_id="over").state == "expired"
    Export.objects.filter(job_id="over").update(ended_at=now - timedelta(days=400))
    report = clean_twice(("expired_exports", {}))
    assert (report["count"], report["size"]) == (2, 0)
    assert [export.job_id for export in Export.objects.all()] == ["open"]


def test_dead_letters_that_have_had_their_time_go() -> None:
    now = timezone.now()
    for job_id, days in (("old", 4000), ("new", 0)):
        DeadLetter.objects.create(
            job_id=job_id, died_at=now - timedelta(days=days), changed_at=now, queue_name="default"
        )
    report = clean_twice(("dead_letters", {}))
    assert (report["count"], report["tasks"][0]["names"]) == (1, [" old"])
    assert [letter.job_id for letter in DeadLetter.objects.all()] == ["new"]


def test_notifications_go_that_were_read_long_ago() -> None:
    now = timezone.now()
    for key, read_at in (
        ("unread", None),
        ("long ago", now - timedelta(days=100)),
        ("just now", now - timedelta(hours=2)),
    ):
        Notification.objects.create(
            user_key="1", key=key, kind="x", message="secret", read_at=read_at
        )
    report = clean_twice(("read_notifications", {}))
    assert (report["count"], report["tasks"][0]["names"]) == (1, [])
    assert clean(("read_notifications", {"older_than": 3600}))["count"] == 1
    assert [each.key for each in Notification.objects.all()] == ["unread"]
