"""The pages of the API in the example project: for staff, and made of this site's files alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from subprocess import run
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from example_project.demo.child import MANAGE, Child, end_all
from tests.acceptance.browser.conftest import MILLISECONDS
from tests.acceptance.browser.operator import SCREENSHOTS
from tests.services import Services

PASSWORD = "only-for-this-test"


@pytest.fixture(scope="module")
def site(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an example shop of its own, with somebody of its staff."""
    services.restore_redis()
    folder = tmp_path_factory.mktemp("shop")
    known = {
        "DEMO_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "PYTHONUNBUFFERED": "1",
        "REDIS_PORT": str(services.redis.port),
        "SECRET_KEY": "only-for-this-test",
    }
    somebody = ("--noinput", "--username", "admin", "--email", "admin@example.com")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in known.items():
            patch.setenv(name, value)
        for command in (("migrate", "--verbosity", "0"), ("createsuperuser", *somebody)):
            run([sys.executable, str(MANAGE), *command], check=True)
        web = Child("web", "runserver", "--noreload", "--insecure", "127.0.0.1:0", folder=folder)
    try:
        port = web.wait_for_line(r"http://127\.0\.0\.1:(\d+)/", timeout=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        end_all([web])


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site)
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def log_in(page: Page, path: str) -> None:
    """Ask for a page that is for staff, and log in where one is sent to."""
    page.goto(path)
    assert "/admin/login/" in page.url
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize("path", ["/queue/swagger/", "/queue/redoc/"])
def test_staff_read_the_document_and_no_other_site_hears_of_it(
    page: Page, site: str, path: str
) -> None:
    asked: list[str] = []
    errors: list[str] = []

    def note(request: Request) -> None:
        if request.failure != "csp":  # what the page's policy refuses never leaves the browser
            asked.append(request.url)

    page.on("requestfinished", note)
    page.on("requestfailed", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    log_in(page, path)
    expect(page.get_by_text("Submit job", exact=True).last).to_be_attached()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=SCREENSHOTS / f"api-{path.strip('/').replace('/', '-')}.png")
    hosts = {urlsplit(url).netloc for url in asked if url.startswith("http")}
    assert hosts == {urlsplit(site).netloc}
    assert not errors, errors


def test_a_call_is_tried_out_on_the_page(page: Page) -> None:
    log_in(page, "/queue/swagger/")
    page.locator("#operations-Queues-pause_queues button").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("#operations-Queues-pause_queues textarea").fill(
        '{"queue": "low", "reason": "tried"}'
    )
    with page.expect_response("**/queue/api/pause/") as answer:
        page.get_by_role("button", name="Execute").click()
    assert answer.value.status == 200  # with the session, and its token against forgery
    assert answer.value.json() == {"changed": True, "paused": ["low"]}


@pytest.mark.parametrize("path", ["/queue/openapi/", "/queue/api/jobs/"])
def test_nobody_else_reads_anything(page: Page, path: str) -> None:
    assert page.request.get(path).status in (401, 403)
