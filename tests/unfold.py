"""A project that shows our tables in the look of django-unfold.

Run as a program it opens each page and prints those that can't be shown; with the name of a file
for its database it serves them until its input ends. The tests run it in a process of its own,
since an app can't be installed later.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings


def configure(database: str) -> None:
    """Use the settings of the tests, with unfold before the admin and a database of its own."""
    import tests.settings as ours

    known = {name: getattr(ours, name) for name in dir(ours) if name.isupper()}
    known["INSTALLED_APPS"] = ["unfold", *known["INSTALLED_APPS"]]
    known["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}}
    # Its own pages have scripts within them.
    known["MIDDLEWARE"] = [
        name for name in known["MIDDLEWARE"] if name != "tests.policy.StrictPolicy"
    ]
    known["ROOT_URLCONF"] = "tests.unfold"
    settings.configure(**known)
    django.setup()


def register() -> None:
    """As its documentation says: our class first, then its own."""
    from django.apps import apps
    from django.contrib import admin
    from unfold.admin import ModelAdmin

    for model in apps.get_app_config("django_resilient_queue").get_models():
        if (page := admin.site._registry.get(model)) is not None:
            admin.site.unregister(model)
            admin.site.register(model, type("Page", (type(page), ModelAdmin), {}))


def addresses() -> Iterator[str]:
    """Every list, every row's page, and every operation that makes sense on the row."""
    from django.contrib import admin
    from django.urls import reverse

    from tests.rows import MAKERS

    for model, make in MAKERS.items():
        start = f"admin:django_resilient_queue_{model._meta.model_name}"
        row = make("row-one")
        yield reverse(f"{start}_changelist")
        yield reverse(f"{start}_change", args=(row.pk,))
        for operation in getattr(admin.site._registry[model], "operations", ()):
            if operation.is_offered(row):
                yield reverse(f"{start}_{operation.name}", args=(row.pk,))
    yield reverse("admin:django_resilient_queue_overview_changelist")
    yield reverse("admin:django_resilient_queue_overview_pause", args=("low",))


def logged_in() -> Any:
    """Make the tables, and return somebody who may see all of them."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    register()
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("root"))
    return client


def serve() -> int:
    """Print where the pages are, and the session that may see them; until nobody listens."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.testcases import LiveServerThread

    client = logged_in()
    thread = LiveServerThread("127.0.0.1", StaticFilesHandler)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait(60)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    found = {"address": f"http://127.0.0.1:{thread.port}", "session": session}
    print(json.dumps({**found, "pages": list(addresses())}), flush=True)
    sys.stdin.read()
    return 0


def main() -> int:
    """Return how many pages can't be shown as unfold shows them."""
    client = logged_in()
    count, bad = 0, 0
    for address in addresses():
        answer = client.get(address)
        count += 1
        if answer.status_code != 200 or "unfold/" not in answer.text:
            bad += 1
            print(f"{answer.status_code} {address}")
    print(f"{count} pages")
    return bad


def __getattr__(name: str) -> Any:
    """The addresses, once the settings are there: this module is the project's URLconf as well."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib import admin
    from django.urls import path

    return [path("admin/", admin.site.urls)]


if __name__ == "__main__":
    configure(sys.argv[1] if len(sys.argv) > 1 else ":memory:")
    sys.exit(serve() if len(sys.argv) > 1 else main())
