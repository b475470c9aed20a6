"""Dead letters in the admin, as an operator sees them."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.utils import timezone
from playwright.sync_api import expect

from django_resilient_queue import enqueue, requeue
from django_resilient_queue.models import DeadLetter, FailedAttempt, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.operator import GO, Operator
from tests.conftest import StartWorker, WaitUntil
from tests.mailserver import MailServer, addresses
from tests.stores import snapshot

LIST = "/admin/django_resilient_queue/deadletter/"
TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/rq/worker.py", line 1633, in perform_job
    return_value = job.perform()
  File "/srv/shop/orders/tasks.py", line 41, in ship
    label = carrier.label_for(order)
  File "/srv/shop/orders/carrier.py", line 12, in label_for
    raise AddressUnknown(order.city)
  File "/usr/lib/python3/dist-packages/requests/models.py", line 1021, in raise_for_status
    raise HTTPError(http_error_msg, response=self)
shop.orders.AddressUnknown: no street is known in Lübeck
"""


def letters(count: int, message: str = "no street is known in Lübeck") -> list[DeadLetter]:
    """Record deaths of one error, one every other hour."""
    failure = Failure(Reason.RAISED, "shop.orders.AddressUnknown", message, TRACEBACK)
    made = []
    for number in range(count):
        kwargs = {"order": number, "city": "Lübeck", "api_key": "k-123"}
        job = snapshot(f"order-{number}-{len(message)}", kwargs=kwargs)
        died_at = timezone.now() - timedelta(hours=2 * number, minutes=5)
        worker = "shop-7.worker"
        made.append(DeadLetter.of(job, failure, attempts=3, worker_name=worker, died_at=died_at))
    DeadLetter.objects.record(made)
    return list(DeadLetter.objects.order_by("-died_at"))


def test_the_list_is_sound_and_searched(redis_server: RedisServer, operator: Operators) -> None:
    letters(30)
    letters(3, "the connection to the carrier was lost")
    ann = operator()
    page = ann.go(LIST)
    ann.inspect("letters")
    page.get_by_label("Search").fill("carrier was")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("newest 33 letters")).to_be_visible()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    ann.inspect("letters-search")


def test_the_pages_of_a_letter_are_sound(redis_server: RedisServer, operator: Operators) -> None:
    letter = letters(1)[0]
    failure = Failure(Reason.RAISED, letter.error_class, letter.message, TRACEBACK)
    ended_at = letter.died_at - timedelta(minutes=3)
    for number in range(3):
        attempt = FailedAttempt.of(
            letter.snapshot, number, failure, worker_name="shop-7", ended_at=ended_at
        )
        FailedAttempt.objects.record([attempt])
    ann = operator()
    page = ann.go(f"{LIST}{letter.pk}/change/")
    ann.inspect("letter")
    page.get_by_role("link", name="Requeue", exact=True).click()
    ann.inspect("letter-requeue")
    ann.go(f"{LIST}{letter.pk}/correct/")
    ann.inspect("letter-correct-json")
    requeue(letter, kwargs={"order": 7, "city": "Kiel", "api_key": "k-9"}, by="ann", reason="moved")
    ann.go(f"{LIST}{letter.pk}/change/")
    ann.inspect("letter-requeued")


def test_what_is_masked_is_revealed_on_purpose(
    redis_server: RedisServer, operator: Operators
) -> None:
    letter = letters(1)[0]
    ann = operator("view_deadletter", "view_sensitive_payload")
    page = ann.go(f"{LIST}{letter.pk}/change/")
    expect(page.get_by_text("k-123")).to_have_count(0)
    page.get_by_role("link", name="Reveal").click()
    ann.inspect("letter-reveal")
    page.get_by_label("Reason").fill("ticket 7")
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text("k-123")).to_be_visible()
    ann.inspect("letter-revealed")
    assert LogEntry.objects.get().change_message == "Looked at what is masked: ticket 7"


def test_groups_are_shown_and_lead_to_their_letters(
    redis_server: RedisServer, operator: Operators
) -> None:
    letters(30)
    letters(3, "the connection to the carrier was lost")
    ann = operator()
    page = ann.go(f"{LIST}groups/")
    ann.inspect("groups")
    page.locator(".drq-table th a").nth(1).click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    ann.go(f"{LIST}groups/")
    page.get_by_role("link", name="Requeue this group").first.click()
    ann.inspect("group-requeue")


def test_an_operator_finds_out_why_a_mail_failed_corrects_and_recovers_it(
    redis_server: RedisServer,
    mail_server: MailServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    operator: Operators,
) -> None:
    mail_server.answer_recipient("bob@exmaple.com", "550 5.1.1 no such mailbox")
    content = {"to": ["bob@exmaple.com"], "subject": "hello", "body": "dear Bob"}
    enqueue("email:send", content, job_id="mail")
    worker_process("high", settings={"MAIL_BACKENDS": mail_server.backend()})
    wait_until(DeadLetter.objects.exists)
    ann = operator()
    page = ann.go(LIST)
    page.locator("#result_list").get_by_role("link", name="email:send").click()
    expect(page.get_by_text("550 5.1.1").first).to_be_visible()
    ann.inspect("mail")
    page.get_by_role("link", name="Correct and requeue").click()
    correct_the_address(ann)
    wait_until(lambda: DeadLetter.objects.get().status == "recovered")
    page.reload()
    expect(page.get_by_text("which has finished").first).to_be_visible()
    assert mail_server.recipients == [addresses("bob")]
    assert mail_server.messages[0].get_content().strip() == "dear Bob"
    assert [entry.user for entry in LogEntry.objects.all()] == [ann.user]


def correct_the_address(ann: Operator) -> None:
    """What is wrong is said beside its field; what changes is shown before it is done."""
    page = ann.page
    to = page.get_by_label("To:", exact=True)
    expect(to).to_have_value('[\n  "bob@exmaple.com"\n]')
    expect(page.get_by_label("Body")).to_have_value("********")
    to.fill('["bob at example"]')
    page.get_by_role("button", name="See what changes").click()
    expect(page.locator(".form-row.errors").get_by_label("To:", exact=True)).to_be_visible()
    ann.inspect("mail-refused")
    to.fill('["bob@example.com"]')
    page.get_by_label("Reason").fill("a typo in the address")
    page.get_by_role("button", name="See what changes").click()
    expect(page.get_by_text('+   "bob@example.com"')).to_be_visible()
    ann.inspect("mail-changes")
    assert DeadLetter.objects.get().status == "dead"
    page.get_by_role("button", name="Requeue with these changes").click()
    expect(page.get_by_text("Requeued with other arguments as mail-r1.")).to_be_visible()


def test_an_operator_recovers_a_group_of_500_with_a_canary(
    redis_server: RedisServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    operator: Operators,
) -> None:
    dead = [
        DeadLetter.of(
            snapshot(f"job-{number}"), Failure(Reason.RAISED, "shop.Gone", "gone"), attempts=1
        )
        for number in range(500)
    ]
    DeadLetter.objects.record(dead)
    ann = operator()
    page = ann.go(f"{LIST}groups/")
    page.get_by_role("link", name="Requeue this group").click()
    expect(page.get_by_text("500 letters are meant")).to_be_visible()
    page.get_by_label("Letters a second").fill("500")
    page.get_by_label("Canary").fill("3")
    page.get_by_label("Reason").fill("the shop is open again")
    page.get_by_role("button", name="Requeue 500 letters").click()
    expect(page.get_by_text("has been started, of 500 letters")).to_be_visible()
    run = RecoveryRun.objects.get()
    assert (run.total, run.canary, run.created_by) == (500, 3, ann.user.get_username())
    worker_process("default")
    wait_until(lambda: RecoveryRun.objects.get().status == "finished")
    recovered = DeadLetter.objects.filter(status="recovered")
    wait_until(lambda: recovered.count() == 500)
    assert RecoveryRun.objects.get().requeued == 500


def test_all_letters_of_a_filtered_list_are_chosen_at_once(
    redis_server: RedisServer, operator: Operators
) -> None:
    letters(60)
    letters(2, "another error in this place")
    ann = operator()
    page = ann.go(f"{LIST}?handler__exact=tests.jobs.succeed")
    page.wait_for_load_state()
    page.locator("#action-toggle").check()
    page.get_by_role("button", name="Select all 62 that match").click()
    page.locator("select[name=action]").select_option("Discard")
    ann.inspect("letters-selected")
    page.get_by_role("button", name=GO).click()
    expect(page.get_by_text("62 letters are meant")).to_be_visible()
    page.get_by_role("button", name="Discard 62 letters").click()
    expect(page.get_by_text("62 letters discarded.")).to_be_visible()
    assert DeadLetter.objects.filter(status="discarded").count() == 62
    assert LogEntry.objects.count() == 1


def test_who_may_only_look_is_offered_nothing(
    redis_server: RedisServer, operator: Operators
) -> None:
    letter = letters(2)[0]
    bob = operator("view_deadletter")
    page = bob.go(LIST)
    expect(page.get_by_text("order-0").first).to_be_visible()
    expect(page.locator("select[name=action]")).to_have_count(0)
    expect(page.locator(".action-select")).to_have_count(0)
    bob.go(f"{LIST}{letter.pk}/change/")
    for name in ("Requeue", "Correct and requeue", "Discard", "Reveal", "Export"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    bob.inspect("letter-to-look-at")
    bob.go(f"{LIST}groups/")
    expect(page.locator(".drq-buttons a")).to_have_count(0)


def test_a_traceback_is_copied(redis_server: RedisServer, operator: Operators) -> None:
    letter = letters(1)[0]
    ann = operator()
    page = ann.go(f"{LIST}{letter.pk}/change/")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
