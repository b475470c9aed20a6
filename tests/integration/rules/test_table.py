"""The table of the protocol's rules: each is a named test that fails when its rule is taken out.

The rules were found by exhaustive search over a model of the protocol; taking nearly any one away
brings a lost, doubled or stranded job back. `GUARDS` in `mutations.py` names, for each rule, lines
of the code that keep it; `python -m tests.integration.rules.mutations` takes each out and runs the
rule's tests.
"""

from __future__ import annotations

import importlib

import pytest

from tests.integration.rules.mutations import GUARDS

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
        "test_modes::test_a_worker_whose_heartbeat_has_lapsed_claims_nothing_until_it_has_told_redis_again",
        "test_modes::test_a_redis_that_was_restarted_between_two_calls_is_a_return",
    ),
    "evict": (
        "test_return::test_a_job_that_the_database_executes_loses_its_copy_when_a_worker_returns",
        "test_return::test_the_producers_own_late_push_finds_the_id_fenced",
    ),
    "versions": (
        "test_return::test_every_claim_and_every_decision_to_push_raises_the_version",
        "test_return::test_redis_refuses_a_push_below_the_fence_and_takes_one_at_it",
        "test_return::test_a_producer_marks_ready_only_a_row_that_nobody_has_touched",
    ),
    "settle_again": (
        "test_settling::test_a_settle_that_finds_the_id_settled_goes_on_to_delete_the_row",
    ),
    "recheck": (
        "test_rescue::test_a_worker_that_slept_past_its_lease_gives_up_what_it_has_not_started",
    ),
    "lock": (
        "test_modes::test_a_claim_of_a_dispatched_row_waits_for_a_change_of_mode_and_then_takes_nothing",
        "test_modes::test_a_claim_asks_under_the_lock_once_more_whether_a_worker_uses_redis",
    ),
    "ready_is_clean": (
        "test_drain::test_a_row_whose_push_may_have_been_applied_is_not_ready",
        "test_drain::test_a_row_with_a_copy_in_redis_never_becomes_ready",
    ),
    "drain_marks": ("test_drain::test_a_drain_marks_each_row_dispatched_before_redis_hears_of_it",),
    "settled_keeps": (
        "test_settling::test_a_push_that_lands_after_its_job_has_ended_and_its_row_is_gone_is_refused",
        "test_settling::test_settled_ids_are_forgotten_by_age_alone",
    ),
    "flight_to_end": (
        "test_settling::test_an_id_stays_in_the_in_flight_list_until_both_stores_have_been_told",
    ),
    "renew_by_id": ("test_rescue::test_a_row_that_its_live_worker_does_not_list_is_rescued",),
    "rescue_asks": (
        "test_rescue::test_a_rescue_in_redis_spares_what_a_live_worker_has_in_hand",
        "test_rescue::test_a_rescue_in_redis_spares_what_the_database_executes_or_has_settled",
    ),
    "observed": (
        "test_rescue::test_time_in_which_an_observer_could_not_read_makes_nobody_stale",
        "test_rescue::test_no_wall_clock_of_another_machine_decides_who_is_stale",
    ),
    "tombstone": (
        "test_return::test_a_death_with_a_copy_in_redis_leaves_a_finished_row_until_redis_has_been_told",
    ),
    "attempts": (
        "test_return::test_a_push_replaces_a_copy_of_an_older_attempt_and_skips_one_as_new",
        "test_return::test_a_retry_in_the_database_replaces_the_copy_before_a_worker_claims_from_redis",
    ),
    "both_tried": (
        "test_enqueue::test_an_open_circuit_does_not_refuse_a_job_that_redis_would_take",
    ),
    "tx_waits": (
        "test_enqueue::test_a_job_of_a_transaction_that_rolls_back_never_reaches_redis",
        "test_enqueue::test_inside_a_transaction_the_push_waits_for_the_commit_although_the_insert_failed",
    ),
    "backfill": (
        "test_enqueue::test_a_job_that_was_pushed_without_a_row_survives_the_loss_of_redis_once_it_is_backfilled",
    ),
    "known_only": (
        "test_settling::test_a_failure_of_a_job_that_another_worker_has_finished_is_not_recorded",
    ),
    "generation": (
        "test_enqueue::test_an_id_may_be_enqueued_again_although_it_is_settled_and_runs_again",
        "test_enqueue::test_the_end_of_the_first_run_of_an_id_leaves_the_second_alone",
    ),
    "epoch_push": ("test_epochs::test_a_push_of_an_earlier_epoch_is_refused",),
}


def test_every_rule_has_a_test_and_a_guard_that_was_taken_out() -> None:
    assert len(RULES) == 21
    assert list(TABLE) == list(RULES) == list(GUARDS)


@pytest.mark.parametrize("rule", RULES)
def test_every_test_that_the_table_names_exists(rule: str) -> None:
    for name in TABLE[rule]:
        module, _, function = name.partition("::")
        assert hasattr(importlib.import_module(f"tests.integration.rules.{module}"), function)
