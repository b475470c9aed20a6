"""The table of the protocol's rules: each is a named test that fails when its rule is taken out.

The rules were found by exhaustive search over a model of the protocol; taking nearly any one away
brings a lost, doubled or stranded job back. `GUARDS` names, for each rule, the pieces of the code
that keep it; `python -m tests.integration.rules.mutations` takes out one after the other, each time
from a copy of the code, and sees a test of the rule fail.
"""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import pytest

import django_resilient_queue
from tests.integration.rules.mutations import GUARDS

HERE = Path(__file__).parent
# Driven by the same benches, but of no rule of the protocol.
OF_NO_RULE = {
    "test_table.py",
    "test_pausing.py",
    "test_recovering.py",
    "test_runs.py",
    "test_counting.py",
    "test_slots.py",
}

RULES = {
    "mode_first": "before it claims from Redis a worker commits its heartbeat row, then tells Redis"
    " what the database did; at start, on return, and when its heartbeat had lapsed",
    "evict": "on return Redis gives up the copies of rows the database still executes, and fences"
    " their ids against the producer's own late push",
    "versions": "every claim from the database and every decision to push raises the row's version;"
    " Redis refuses a push below the fence, a producer marks ready only a row of version 0",
    "settle_again": "a settle that finds the id settled goes on to delete the row",
    "recheck": "a worker that slept past its lease gives up what it has claimed and not started",
    "lock": "claiming a dispatched row and changing a worker's mode exclude each other",
    "ready_is_clean": "ready means no copy in Redis",
    "drain_marks": "drain marks the row dispatched before it pushes",
    "settled_keeps": "settled ids are kept by age, longer than the deadline of a push",
    "flight_to_end": "an id stays in the in-flight list until both stores have been told",
    "renew_by_id": "a lease is renewed by job id, never by worker name",
    "rescue_asks": "a rescue in Redis first asks the database",
    "observed": "stale means: not moved for a lease on the observer's clock, while it could look",
    "tombstone": "a death with a copy in Redis leaves a finished row until Redis has been told",
    "attempts": "row and copy carry the attempt; a push replaces an older copy",
    "both_tried": "enqueue refuses only after it has really tried both, circuit open or not",
    "tx_waits": "inside a transaction the push waits for the commit, whatever became of the insert",
    "backfill": "jobs pushed without a row are listed, and get their row when the database is back",
    "known_only": "a failure is recorded only where the job is still known",
    "generation": "settled ids, fences, claims and deletes are of one generation of an id",
    "epoch_push": "every push names the epoch it knows; the script refuses another one",
}

TABLE = {
    "mode_first": (
        "test_modes::test_a_worker_announces_mode_redis_before_redis_hears_anything",
        "test_modes::test_a_worker_that_starts_tells_redis_what_the_database_did_before_it_claims",
        "test_modes::test_a_worker_that_could_not_tell_redis_everything_does_not_claim_there",
        "test_modes::test_a_worker_whose_heartbeat_has_lapsed_claims_nothing_until_it_has_told_redis_again",
        "test_modes::test_a_worker_that_came_home_without_the_database_goes_the_whole_way_when_it_is_back",
        "test_modes::test_a_worker_that_loses_the_database_while_it_tells_redis_starts_again",
        "test_modes::test_a_redis_that_was_restarted_between_two_calls_is_a_return",
    ),
    "evict": (
        "test_return::test_a_job_that_the_database_executes_loses_its_copy_when_a_worker_returns",
        "test_return::test_the_producers_own_late_push_finds_the_id_fenced",
        "test_return::test_a_fence_outlives_every_push_that_it_is_meant_for_to_the_part_of_a_second",
        "test_return::test_a_copy_that_another_live_worker_has_in_hand_is_left_to_it",
        "test_return::test_a_worker_that_returns_without_the_database_withdraws_what_it_executes_itself",
    ),
    "versions": (
        "test_return::test_every_claim_and_every_decision_to_push_raises_the_version",
        "test_return::test_redis_refuses_a_push_below_the_fence_and_takes_one_at_it",
        "test_return::test_a_producer_marks_ready_only_a_row_that_nobody_has_touched",
        "test_return::test_a_drain_whose_push_was_refused_gives_back_only_what_nobody_has_touched_since",
    ),
    "settle_again": (
        "test_settling::test_a_settle_that_finds_the_id_settled_goes_on_to_delete_the_row",
        "test_settling::test_a_settle_whose_reply_was_lost_is_repeated_and_goes_on_to_delete_the_row",
    ),
    "recheck": (
        "test_rescue::test_a_worker_that_slept_past_its_lease_gives_up_what_it_has_not_started",
        "test_rescue::test_a_claim_counts_from_when_it_was_asked_for",
        "test_rescue::test_a_worker_that_slept_gives_back_nothing_that_another_has_taken_over",
    ),
    "lock": (
        "test_modes::test_a_claim_of_a_dispatched_row_waits_for_a_change_of_mode_and_then_takes_nothing",
        "test_modes::test_a_change_of_mode_waits_for_a_claim_and_then_withdraws_its_copy",
        "test_modes::test_a_claim_asks_under_the_lock_once_more_whether_a_worker_uses_redis",
    ),
    "ready_is_clean": (
        "test_drain::test_a_row_whose_push_may_have_been_applied_is_not_ready",
        "test_drain::test_a_row_with_a_copy_in_redis_never_becomes_ready",
        "test_drain::test_a_row_without_a_copy_in_redis_becomes_ready_again",
        "test_drain::test_a_row_whose_drain_may_have_been_applied_is_not_ready",
    ),
    "drain_marks": (
        "test_drain::test_a_drain_that_dies_right_after_its_push_leaves_no_row_that_the_database_may_execute",
        "test_drain::test_a_drain_marks_each_row_dispatched_before_redis_hears_of_it",
        "test_drain::test_two_drains_at_once_push_each_row_once",
        "test_drain::test_a_claim_takes_only_the_rows_that_its_update_has_won",
    ),
    "settled_keeps": (
        "test_settling::test_a_push_that_lands_after_its_job_has_ended_and_its_row_is_gone_is_refused",
        "test_settling::test_settled_ids_are_forgotten_by_age_alone",
        "test_settling::test_the_age_of_settled_ids_is_measured_by_the_clock_of_redis_alone",
        "test_settling::test_a_push_that_lands_after_its_deadline_is_refused_whatever_redis_remembers",
        "test_settling::test_no_settled_id_is_forgotten_until_the_database_has_been_back_for_long_enough",
    ),
    "flight_to_end": (
        "test_settling::test_an_id_stays_in_the_in_flight_list_until_both_stores_have_been_told",
        "test_settling::test_a_job_whose_end_only_redis_knew_is_not_pushed_again_while_its_worker_lives",
    ),
    "renew_by_id": (
        "test_rescue::test_a_row_that_its_live_worker_does_not_list_is_rescued",
        "test_rescue::test_a_row_that_its_live_worker_lists_is_left_to_it",
        "test_rescue::test_a_row_is_rescued_from_a_worker_that_lists_another_claim_of_the_same_id",
        "test_rescue::test_a_claim_in_redis_that_its_live_worker_does_not_list_is_rescued",
        "test_rescue::test_a_claim_whose_reply_was_lost_is_rescued_by_its_own_worker_after_a_lease",
    ),
    "rescue_asks": (
        "test_rescue::test_a_rescue_in_redis_spares_what_a_live_worker_has_in_hand",
        "test_rescue::test_a_rescue_in_redis_spares_what_the_database_executes_or_has_settled",
        "test_rescue::test_a_rescue_in_redis_puts_back_what_nobody_speaks_for",
        "test_rescue::test_rqs_own_cleaning_does_not_bury_what_a_live_worker_has_in_hand",
        "test_rescue::test_a_job_is_not_buried_when_its_worker_settles_it_at_the_last_moment",
    ),
    "observed": (
        "test_rescue::test_time_in_which_an_observer_could_not_read_makes_nobody_stale",
        "test_rescue::test_a_worker_is_stale_when_its_row_has_not_moved_for_a_lease_of_the_observers_time",
        "test_rescue::test_no_wall_clock_of_another_machine_decides_who_is_stale",
    ),
    "tombstone": (
        "test_return::test_a_death_with_a_copy_in_redis_leaves_a_finished_row_until_redis_has_been_told",
    ),
    "attempts": (
        "test_return::test_a_push_replaces_a_copy_of_an_older_attempt_and_skips_one_as_new",
        "test_return::test_a_retry_in_the_database_replaces_the_copy_before_a_worker_claims_from_redis",
        "test_return::test_reconcile_replaces_the_copy_of_an_attempt_that_the_database_has_settled",
        "test_return::test_a_rescue_leaves_the_copy_of_an_older_attempt_to_reconcile",
    ),
    "both_tried": (
        "test_enqueue::test_an_open_circuit_does_not_refuse_a_job_that_redis_would_take",
        "test_enqueue::test_an_open_circuit_does_not_lose_a_job_of_a_transaction_whose_row_was_refused",
        "test_enqueue::test_a_job_is_refused_only_by_both_stores",
    ),
    "tx_waits": (
        "test_enqueue::test_a_job_of_a_transaction_that_rolls_back_never_reaches_redis",
        "test_enqueue::test_inside_a_transaction_the_push_waits_for_the_commit_although_the_insert_failed",
    ),
    "backfill": (
        "test_enqueue::test_a_job_that_was_pushed_without_a_row_survives_the_loss_of_redis_once_it_is_backfilled",
        "test_enqueue::test_a_backfilled_row_has_the_attempt_that_redis_is_at",
        "test_enqueue::test_a_job_that_ended_before_its_backfill_gets_no_row_and_is_not_listed_for_ever",
    ),
    "known_only": (
        "test_settling::test_a_failure_of_a_job_that_another_worker_has_finished_is_not_recorded",
        "test_settling::test_a_death_whose_reply_was_lost_still_gets_its_letter",
        "test_settling::test_a_failure_is_recorded_where_redis_has_lost_the_job_and_its_row_is_there",
        "test_settling::test_a_success_is_recorded_although_neither_store_knows_the_job_any_more",
    ),
    "generation": (
        "test_enqueue::test_an_id_may_be_enqueued_again_although_it_is_settled_and_runs_again",
        "test_enqueue::test_an_id_may_be_enqueued_again_although_it_is_fenced",
        "test_enqueue::test_the_end_of_the_first_run_of_an_id_leaves_the_second_alone",
        "test_enqueue::test_a_return_takes_no_copy_of_the_second_run_of_an_id_for_one_of_the_first",
        "test_enqueue::test_the_death_of_the_first_run_of_an_id_does_not_hide_that_of_the_second",
        "test_enqueue::test_a_late_push_of_the_first_run_of_an_id_does_not_replace_the_second",
        "test_enqueue::test_what_redis_is_told_of_the_first_run_of_an_id_does_not_touch_the_second",
    ),
    "epoch_push": (
        "test_epochs::test_a_push_of_an_earlier_epoch_is_refused",
        "test_epochs::test_a_producers_push_of_an_earlier_epoch_leaves_the_job_to_the_database",
        "test_epochs::test_a_worker_claims_nothing_of_an_epoch_that_it_has_not_come_home_to",
        "test_epochs::test_a_drain_into_a_redis_of_another_epoch_leaves_the_row_ready_and_is_a_return",
        "test_epochs::test_reconcile_finds_another_epoch_by_itself_while_its_worker_is_busy",
        "test_epochs::test_a_worker_that_comes_home_to_another_epoch_pushes_its_retries_in_the_new_one",
        "test_epochs::test_reconcile_does_not_take_what_a_flush_took_for_deleted_by_somebody",
        "test_epochs::test_reconcile_does_not_vouch_for_a_redis_that_another_worker_has_found_to_be_new",
        "test_epochs::test_reconcile_takes_what_is_gone_from_a_redis_that_lost_nothing_for_deleted",
    ),
}


def test_every_rule_has_tests_and_guards() -> None:
    assert len(RULES) == 21
    assert list(TABLE) == list(RULES)
    assert set(GUARDS) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_every_test_that_the_table_names_exists(rule: str) -> None:
    for name in TABLE[rule]:
        module, _, function = name.partition("::")
        assert hasattr(importlib.import_module(f"tests.integration.rules.{module}"), function)


def test_every_test_of_a_rule_is_in_the_table() -> None:
    """By its name in the file: a rule's tests follow its heading."""
    named = {name for names in TABLE.values() for name in names}
    assert named == {
        f"{path.stem}::{function}"
        for path in HERE.glob("test_*.py")
        if path.name not in OF_NO_RULE
        for function in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("rule", RULES)
def test_every_guard_of_a_rule_is_in_the_code(rule: str, tmp_path: Path) -> None:
    package = Path(django_resilient_queue.__file__).parent
    for guard in GUARDS[rule]:
        (tmp_path / guard.file).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(package / guard.file, tmp_path / guard.file)
        guard.take_out(tmp_path)
