"""`manage.py dlq`: what it prints, what it does, and its exit codes."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_resilient_queue import requeue
from django_resilient_queue.models import DeadLetter, FallbackJob, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import ServerProcess
from tests.stores import snapshot

pytestmark = pytest.mark.django_db(transaction=True)


def dlq(*words: object) -> str:
    """Runs the command; returns what it prints."""
    output = io.StringIO()
    call_command("dlq", *map(str, words), stdout=output, stderr=io.StringIO())
    return output.getvalue()


def read(*words: object) -> Any:
    return json.loads(dlq(*words, "--json"))


@pytest.fixture
def letters() -> dict[str, DeadLetter]:
    """Three, of two kinds."""
    kinds = {"a": "builtins.ValueError", "b": "builtins.ValueError", "c": "builtins.TimeoutError"}
    for days, (job_id, error_class) in enumerate(kinds.items()):
        failure = Failure(Reason.RAISED, error_class, f"no {days}", f"Traceback\n{error_class}")
        died_at = timezone.now() - timedelta(days=days, minutes=1)
        job = snapshot(job_id, "low" if job_id == "c" else "default")
        DeadLetter.objects.record([DeadLetter.of(job, failure, attempts=1, died_at=died_at)])
    return {letter.job_id: letter for letter in DeadLetter.objects.all()}


def statuses() -> dict[str, str]:
    return dict(DeadLetter.objects.values_list("job_id", "status"))


def test_list_shows_what_fits_the_newest_first(letters: dict[str, DeadLetter]) -> None:
    assert [row["job_id"] for row in read("list")] == ["a", "b", "c"]
    assert [row["job_id"] for row in read("list", "--queue", "low")] == ["c"]
    assert [row["job_id"] for row in read("list", "--error-class", "builtins.ValueError")] == [
        "a",
        "b",
    ]
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    assert [row["job_id"] for row in read("list", "--since", since)] == ["a"]
    assert [row["job_id"] for row in read("list", letters["b"].pk)] == ["b"]
    assert len(read("list", "--limit", 2)) == 2
    assert "builtins.TimeoutError" in dlq("list", "--category", "timeout")
    assert dlq("list", "--status", "discarded") == ""


def test_show_tells_all_but_the_payload(letters: dict[str, DeadLetter]) -> None:
    found = read("show", letters["a"].pk)
    assert (found["job_id"], found["message"], found["history"]) == ("a", "no 0", [])
    assert "payload" not in found
    text = dlq("show", letters["a"].pk)
    assert "error_class: builtins.ValueError" in text
    assert "Traceback" in text


def test_show_masks_secrets_in_corrections_unless_told_to_reveal_them() -> None:
    job = snapshot("a", kwargs={"password": "old", "user": "ann"})
    DeadLetter.objects.record([DeadLetter.of(job, Failure(Reason.RAISED), attempts=1)])
    letter = DeadLetter.objects.get()
    requeue(letter, kwargs={"password": "new", "user": "ann"})
    [masked] = read("show", letter.pk)["corrections"]
    assert masked["before"]["kwargs"] == {"password": "********", "user": "ann"}
    assert "new" not in json.dumps(masked)
    [shown] = read("show", letter.pk, "--reveal")["corrections"]
    assert shown["after"]["kwargs"]["password"] == "new"


def test_stats_count_by_kind_and_age(letters: dict[str, DeadLetter]) -> None:
    found = read("stats")
    assert found["total"] == 3
    assert found["by_error_class"] == {"builtins.ValueError": 2, "builtins.TimeoutError": 1}
    assert found["by_category"] == {"validation": 2, "timeout": 1}
    assert found["by_handler"] == {"tests.jobs.succeed": 3}
    assert found["by_age"] == {
        "under 1 hour": 1,
        "under 1 day": 0,
        "under 1 week": 2,
        "older": 0,
    }
    assert (found["oldest"]["job_id"], found["oldest"]["days"]) == ("c", 2.0)
    [most, _] = found["groups"]
    assert (most["count"], most["error_class"]) == (2, "builtins.ValueError")
    assert most["first_seen"] < most["last_seen"]
    assert "2 times" in dlq("stats")


def test_show_tells_the_arguments_without_secrets_unless_told_to_reveal_them() -> None:
    job = snapshot("a", kwargs={"user": "ann", "token": "t-5"}, meta={"request": "r-77"})
    DeadLetter.objects.record([DeadLetter.of(job, Failure(Reason.RAISED), attempts=1)])
    letter = DeadLetter.objects.get()
    masked, shown = read("show", letter.pk), read("show", letter.pk, "--reveal")
    assert masked["args"] == ["a"]
    assert masked["kwargs"] == {"user": "ann", "token": "********"}
    assert masked["meta"] == {"request": "r-77"}
    assert shown["kwargs"] == {"user": "ann", "token": "t-5"}
    assert 'kwargs: {"user": "ann", "token": "********"}' in dlq("show", letter.pk)


def test_show_tells_why_a_job_cannot_be_read(letters: dict[str, DeadLetter]) -> None:
    pk = letters["a"].pk
    nonsense = {"data": b"msgpack or so", "meta": b"msgpack or so"}
    DeadLetter.objects.filter(pk=pk).update(payload=letters["a"].snapshot.changed(nonsense).dump())
    found = read("show", pk)
    assert [words.partition(":")[0] for words in found["problems"]] == ["data", "meta"]
    DeadLetter.objects.filter(pk=pk).update(payload=b"1" + b"x" * 60)
    assert read("show", pk)["problems"] == ["the signature of the stored bytes does not match"]
    assert "problems: " in dlq("show", pk)


def test_stats_can_be_of_a_choice(letters: dict[str, DeadLetter]) -> None:
    assert read("stats", "--queue", "low")["by_error_class"] == {"builtins.TimeoutError": 1}
    assert read("stats", letters["a"].pk)["total"] == 1
    since = (timezone.now() - timedelta(days=1, hours=1)).isoformat()
    found = read("stats", "--since", since)
    assert (found["total"], found["by_age"]["under 1 day"]) == (2, 0)
    assert sum(found["by_age"].values()) == 2
    assert [group["count"] for group in read("stats", "--category", "timeout")["groups"]] == [1]


def test_stats_can_count_anew(letters: dict[str, DeadLetter]) -> None:
    letters["c"].delete()
    assert read("stats")["total"] == 3
    assert read("stats", "--recount")["total"] == 2
    assert read("stats")["by_error_class"] == {"builtins.ValueError": 2}


def test_stats_of_nothing() -> None:
    assert read("stats")["oldest"] is None
    assert "total: 0" in dlq("stats")


def test_requeue_has_jobs_run_again(letters: dict[str, DeadLetter]) -> None:
    assert "1 done, 0 not" in dlq("requeue", letters["a"].pk, "--by", "ann", "--because", "mended")
    assert statuses() == {"a": "requeued", "b": "dead", "c": "dead"}
    letters["a"].refresh_from_db()
    assert (letters["a"].changed_by, letters["a"].change_reason) == ("ann", "mended")
    assert dlq("requeue", "--queue", "low").startswith("1 done")
    assert set(FallbackJob.objects.values_list("job_id", flat=True)) == {"a-r1", "c-r1"}


def test_what_cannot_be_done_is_named_and_the_exit_code_is_1(
    letters: dict[str, DeadLetter], capsys: pytest.CaptureFixture[str]
) -> None:
    dlq("requeue", letters["a"].pk)
    with pytest.raises(SystemExit) as ended:
        call_command("dlq", "requeue", str(letters["a"].pk), str(letters["b"].pk), "--json")
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out) == {
        "done": 1,
        "failed": [{"id": letters["a"].pk, "problem": "not there, or in no state for this"}],
    }


def test_with_a_rate_it_is_a_recovery_run_and_a_dry_run_only_counts(
    letters: dict[str, DeadLetter],
) -> None:
    assert dlq("requeue", "--all", "--dry-run") == "3 letters\n"
    assert read("requeue", "--all", "--dry-run") == {"letters": 3, "run": None}
    assert not RecoveryRun.objects.exists()
    dlq("requeue", "--all", "--rate", 5, "--canary", 1, "--because", "mended")
    run = RecoveryRun.objects.get()
    assert (run.total, run.rate, run.canary, run.reason) == (3, 5.0, 1, "mended")
    assert set(statuses().values()) == {"dead"}


def test_discard_and_restore(letters: dict[str, DeadLetter]) -> None:
    dlq("discard", "--error-class", "builtins.ValueError")
    assert statuses() == {"a": "discarded", "b": "discarded", "c": "dead"}
    dlq("restore", "--all")
    assert set(statuses().values()) == {"dead"}


def test_export_writes_a_line_for_each(letters: dict[str, DeadLetter], tmp_path: Path) -> None:
    lines = [json.loads(line) for line in dlq("export").splitlines()]
    assert [line["job_id"] for line in lines] == ["a", "b", "c"]
    file = tmp_path / "letters.jsonl"
    dlq("export", "--queue", "low", "--file", file)
    assert json.loads(file.read_text())["job_id"] == "c"


def test_export_writes_over_no_file(letters: dict[str, DeadLetter], tmp_path: Path) -> None:
    file = tmp_path / "letters"
    file.write_text("mine")
    with pytest.raises(CommandError, match="File exists") as caught:
        dlq("export", "--file", file)
    assert (caught.value.returncode, file.read_text()) == (2, "mine")


def test_prune_deletes_what_has_had_its_time(letters: dict[str, DeadLetter]) -> None:
    DeadLetter.objects.filter(job_id="c").update(died_at=timezone.now() - timedelta(days=31))
    assert dlq("prune") == "1 letters deleted\n"
    assert set(statuses()) == {"a", "b"}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["requeue"], "nothing is chosen: give ids, criteria, or --all"),
        (["discard"], "nothing is chosen"),
        (["show", "4711"], "there is no dead letter 4711"),
        (["requeue", "--all", "--rate", "0"], "a rate is more than 0"),
    ],
)
def test_a_mistake_in_the_call_is_named_and_the_exit_code_is_2(
    words: list[str], problem: str
) -> None:
    with pytest.raises(CommandError, match=problem) as raised:
        dlq(*words)
    assert raised.value.returncode == 2


def test_with_the_database_away_it_says_so(database_server: ServerProcess) -> None:
    database_server.kill()
    with pytest.raises(CommandError, match="the database is away"):
        dlq("requeue", "--all")


def test_import_stores_what_was_exported_once(
    letters: dict[str, DeadLetter], tmp_path: Path
) -> None:
    requeue(letters["b"], by="ann", reason="mended")
    file = tmp_path / "letters.jsonl"
    dlq("export", "--file", file)
    before = {each["job_id"]: each for each in map(json.loads, file.read_text().splitlines())}
    DeadLetter.objects.exclude(job_id="a").delete()
    assert dlq("import", file) == "2 letters stored, 1 were there, 0 are still to run\n"

    again = map(json.loads, dlq("export").splitlines())
    for data in again:
        assert {**data, "id": 0} == {**before[data["job_id"]], "id": 0}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reason": "boredom"}, "'boredom' is not a valid choice"),
        ({"died_at": "yesterday"}, "“yesterday” value has an invalid format"),
        ({"payload": "ä"}, "'ascii' codec"),
        ({"history": [{"number": -1}]}, "greater than or equal to 0"),
    ],
)
def test_import_says_which_line_holds_no_letter(
    letters: dict[str, DeadLetter], tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    good, bad = map(json.loads, dlq("export", letters["a"].pk, letters["b"].pk).splitlines())
    DeadLetter.objects.all().delete()
    file = tmp_path / "letters.jsonl"
    file.write_text(f"10:00:00 {json.dumps(good)}\n\n{json.dumps({**bad, **changes})}\n")
    with pytest.raises(CommandError, match=f"line 3 holds no dead letter: .*{problem}"):
        dlq("import", file)
    assert [each.job_id for each in DeadLetter.objects.all()] == ["a"]


def test_import_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        dlq("import", tmp_path / "nothing")
