"""Somebody new, with nothing but the pages: why do mails fail, and how do they go out after all?"""

from __future__ import annotations

from playwright.sync_api import expect

from django_resilient_queue import enqueue
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.operator import GO, Operator
from tests.conftest import StartWorker, WaitUntil
from tests.mailserver import OK, MailServer
from tests.stores import snapshot


def noise() -> None:
    """What else dies in a shop on such a day."""
    kinds = (("shop.Gone", "no order %d"), ("builtins.TimeoutError", "no answer in %d s"))
    DeadLetter.objects.record(
        [
            DeadLetter.of(
                snapshot(f"order-{n}", "low"),
                Failure(Reason.RAISED, kinds[n % 2][0], kinds[n % 2][1] % n, "Traceback"),
                attempts=3,
            )
            for n in range(40)
        ]
    )


def send(name: str, domain: str = "example.com") -> None:
    content = {"to": [f"{name}@{domain}"], "subject": "your order", "body": "dear customer"}
    enqueue("email:send", content, job_id=f"mail-to-{name}")


def mails(status: str) -> int:
    return DeadLetter.objects.filter(handler="email:send", status=status).count()


def test_somebody_new_finds_out_why_mails_fail_and_recovers_them(
    redis_server: RedisServer,
    mail_server: MailServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    operator: Operators,
) -> None:
    """From the first page of the admin, along links and words that can be seen."""
    noise()
    mail_server.answer_recipient("bob@exmaple.com", "550 5.1.1 no such mailbox")
    mail_server.answer_data("554 5.7.1 this sender is not allowed")
    worker_process("high", "default", settings={"MAIL_BACKENDS": mail_server.backend()})
    send("bob", "exmaple.com")
    for name in ("ann", "cleo", "dan"):
        send(name)
    wait_until(lambda: mails("dead") == 4)
    ann = operator()
    page = ann.go("/admin/")
    page.locator("#content-main").get_by_role("link", name="Overview").click()
    page.get_by_role("link", name="44 Dead letters").click()
    see_mails(ann, 4)
    ann.inspect("trial-mails")
    mail_server.answer_data(OK)  # the server's people let the sender in
    correct_the_address(ann)
    requeue_the_others(ann)
    wait_until(lambda: mails("recovered") == 4)
    people = [[f"{name}@example.com"] for name in ("ann", "bob", "cleo", "dan")]
    assert sorted(mail_server.recipients) == people


def see_mails(ann: Operator, count: int) -> None:
    """Narrow the list, and wait until it is."""
    ann.page.locator("#changelist-filter").get_by_role("link", name="email:send").click()
    expect(ann.page.locator("#result_list tbody tr")).to_have_count(count)
    ann.page.wait_for_load_state()  # a box ticked before Django's script runs ticks no other


def correct_the_address(ann: Operator) -> None:
    """The list says whose mail the server takes for nobody's; the page of it what to do."""
    page = ann.page
    row = page.get_by_role("row").filter(has_text="there is no such mailbox")
    expect(row).to_contain_text("mail-to-bob")
    row.get_by_role("link", name="email:send").click()
    expect(page.get_by_text("Its arguments may be wrong: correct them").first).to_be_visible()
    page.get_by_role("link", name="Correct and requeue").click()
    page.get_by_label("To:", exact=True).fill('["bob@example.com"]')
    page.get_by_role("button", name="See what changes").click()
    page.get_by_role("button", name="Requeue with these changes").click()
    expect(page.get_by_text("Requeued with other arguments as")).to_be_visible()


def requeue_the_others(ann: Operator) -> None:
    """All that are left, at once; the page of the run says when it is done."""
    page = ann.page
    page.locator(".breadcrumbs").get_by_role("link", name="Dead letters").click()
    see_mails(ann, 3)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("Requeue")
    page.get_by_role("button", name=GO).click()
    page.get_by_role("button", name="Requeue 3 letters").click()
    expect(page.get_by_text("Finished: of 3 letters 3 requeued")).to_be_visible()
    expect(page.get_by_text("running")).to_have_count(0)
    expect(page.locator("#drq-ended")).not_to_have_text("-")  # without being loaded again
    ann.inspect("trial-run")
    page.get_by_role("link", name="what was done with each").click()
    expect(page.get_by_role("cell", name="requeued")).to_have_count(3)
