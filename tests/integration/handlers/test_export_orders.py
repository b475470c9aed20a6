"""What a payload of data:export may say, and who may say it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_resilient_queue import InvalidPayload, enqueue_many, export_dataset, request_export
from django_resilient_queue.exceptions import MissingExtra
from django_resilient_queue.handlers.business.export import formats
from django_resilient_queue.handlers.business.export.checks import check_exports
from django_resilient_queue.handlers.business.export.datasets import Datasets, datasets
from django_resilient_queue.handlers.business.export.handler import NotTheSubmitter
from django_resilient_queue.models import Export, FallbackJob
from django_resilient_queue.submission import submit
from tests.integration.handlers.exports import clerk, job_of, payload

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("folders", "redis_server"),
]


@pytest.fixture
def ann() -> User:
    return clerk()


def refused(values: dict[str, Any]) -> Any:
    """The errors, by field; nothing was written."""
    with pytest.raises(InvalidPayload) as caught:
        submit("data:export", values)
    assert not FallbackJob.objects.exists()
    return caught.value.errors


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"dataset": ""}, "dataset"),
        ({"dataset": "orders"}, "dataset"),
        ({"dataset": "../../etc/passwd"}, "dataset"),
        ({"dataset": "auth.User"}, "dataset"),
        ({"dataset": "parcels", "subject": "1"}, "dataset"),
        ({"file_format": "exe"}, "file_format"),
        ({"file_format": "zip"}, "file_format"),
        ({"columns": ["owner__password"]}, "columns"),
        ({"columns": ["code"] * 101}, "columns"),
        ({"filters": {"fragile": "perhaps"}}, "filters"),
        ({"filters": {"owner__password__startswith": "a"}}, "filters"),
        ({"filters": "code=1"}, "filters"),
        ({"datasets": ["parcels"]}, "datasets"),
        ({"subject": "1", "dataset": "", "datasets": ["watched"]}, "datasets"),
        ({"subject": "1", "dataset": "", "columns": ["code"]}, "columns"),
        ({"subject": "nobody", "dataset": ""}, "subject"),
        ({"subject": "9" * 60, "dataset": ""}, "subject"),
        ({"notify": ["pigeon"]}, "notify"),
        ({"where": "1=1"}, "where"),
        ({"user": "nobody"}, "user"),
        ({"user": None}, "user"),
        ({"user": True}, "user"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(
    ann: User, values: dict[str, Any], field: str
) -> None:
    values = {key: str(ann.pk) if (key, x) == ("subject", "1") else x for key, x in values.items()}
    assert list(refused({**payload(ann, dataset="parcels"), **values})) == [field]


def test_the_error_of_a_filter_says_which(ann: User) -> None:
    errors = refused(payload(ann, filters={"fragile": "perhaps", "posted_after": "soon"}))
    assert set(errors["filters"]) == {"fragile", "posted_after"}


def test_the_nearest_dataset_is_named(ann: User) -> None:
    assert "'parcels'" in str(refused(payload(ann, dataset="parcel"))["dataset"])


def test_who_lacks_the_permission_is_refused_when_enqueueing(ann: User) -> None:
    bob = clerk("bob", "view_user")
    (error,) = refused(payload(bob))["dataset"]
    assert error.code == "permission_denied"


def test_who_is_not_active_is_refused(ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert list(refused(payload(ann))) == ["user"]


def test_who_lost_the_permission_is_refused_when_performing(ann: User) -> None:
    job = job_of(payload(ann))
    ann.user_permissions.clear()
    with pytest.raises(InvalidPayload, match="permission_denied"):
        job.perform()
    assert not Export.objects.exists()


def test_the_data_of_another_takes_a_permission_of_its_own(ann: User) -> None:
    bob = User.objects.create_user("bob")
    assert list(refused(payload(ann, subject=str(bob.pk)))) == ["subject"]
    carl = clerk("carl", "export_personal_data")
    assert list(refused(payload(carl, subject=str(bob.pk)))) == ["subject"]
    dora = clerk("dora", "view_parcel", "export_personal_data")
    assert submit("data:export", payload(dora, subject=str(bob.pk))).backend == "redis"  # type: ignore[attr-defined]


def test_who_enqueues_can_not_pass_for_another(ann: User) -> None:
    job = job_of(payload(ann), user_id=str(ann.pk + 1))
    with pytest.raises(NotTheSubmitter):
        job.perform()
    assert not Export.objects.exists()


def test_who_names_another_user_is_refused_when_enqueueing(ann: User) -> None:
    with pytest.raises(InvalidPayload) as caught:
        submit("data:export", payload(ann), user_id=ann.pk + 1)
    assert caught.value.errors["user"][0].code == "permission_denied"
    with pytest.raises(InvalidPayload):
        enqueue_many("data:export", [payload(ann)], user_id=str(ann.pk + 1))
    assert not FallbackJob.objects.exists()
    assert submit("data:export", payload(ann), user_id=ann.pk).kwargs["user"] == str(ann.pk)


@pytest.mark.parametrize("channel", ["email", "notification"])
def test_nobody_is_told_by_a_link_that_leads_nowhere(ann: User, channel: str) -> None:
    (error,) = refused(payload(ann, notify=[channel]))["notify"]
    assert "EXPORT_URL" in error


def test_an_export_is_requested_by_a_call(ann: User) -> None:
    job = request_export(ann, "parcels", filters={"fragile": True}, file_format="json")
    assert job.args == ("data:export",)
    assert (job.kwargs["user"], job.meta["user_id"]) == (str(ann.pk), str(ann.pk))
    assert (job.kwargs["filters"], job.kwargs["file_format"]) == ({"fragile": True}, "json")


def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = formats.Format("xlsx", "", "workbook", "no_such_module")
    monkeypatch.setattr(formats, "FORMATS", {**formats.FORMATS, "xlsx": missing})
    monkeypatch.setattr(
        "django_resilient_queue.handlers.business.export.schemas.FORMATS", formats.FORMATS
    )
    with pytest.raises(MissingExtra, match=r'pip install "django-resilient-queue\[xlsx\]"'):
        submit("data:export", payload(ann, file_format="xlsx"))


def test_a_channel_without_a_handler_is_refused(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = {"email": "no:such", "notification": "no:such"}
    monkeypatch.setattr("django_resilient_queue.handlers.business.export.orders.CHANNELS", channels)
    assert "no:such" in str(refused(payload(ann, notify=["email"]))["notify"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "Bad Name"}, "its name must be"),
        ({"permission": "view_parcel"}, "permission must be as in"),
        ({"columns": []}, "columns must name fields"),
        ({"columns": {"A": ""}}, "columns must name fields"),
        ({"source": lambda user: None}, "must take two arguments"),
    ],
)
def test_a_dataset_that_can_not_be_is_refused_at_import(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    known = {"name": "good", "permission": "a.view_b", "columns": ["c"], **options}
    name, source = known.pop("name"), known.pop("source", lambda user, filters: None)
    with pytest.raises(ImproperlyConfigured, match=words):
        export_dataset(name, **known)(source)
    assert datasets.find("good") is None


def test_a_name_is_given_once() -> None:
    known = datasets.find("parcels")
    assert known is not None
    other = Datasets()
    other.add(known)
    other.add(known)  # a module that is reloaded
    with pytest.raises(ImproperlyConfigured, match="two export datasets have the name"):
        export_dataset("parcels", permission="a.view_b", columns=["c"])(_another)


def _another(user: Any, filters: Any) -> Any:
    """Is no dataset."""


def test_a_dataset_must_return_a_queryset(ann: User) -> None:
    export_dataset("nothing", permission="postoffice.view_parcel", columns=["c"])(_another)
    try:
        with pytest.raises(ImproperlyConfigured, match="must return a queryset, not NoneType"):
            job_of(payload(ann, dataset="nothing")).perform()
    finally:
        datasets.remove("nothing")


def test_a_format_that_can_not_be_written_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_exports(None) == []
    missing = formats.Format("pdf", "", "document", "no_such_module")
    monkeypatch.setattr(
        "django_resilient_queue.handlers.business.export.checks.FORMATS", {"pdf": missing}
    )
    (message,) = check_exports(None)
    assert message.id == "django_resilient_queue.I101"
    assert message.hint == 'pip install "django-resilient-queue[pdf]"'


@override_settings(ROOT_URLCONF="example_project.urls")
def test_a_project_without_our_urls_is_told_so() -> None:
    assert [message.id for message in check_exports(None)] == ["django_resilient_queue.W101"]


@override_settings(ROOT_URLCONF="example_project.urls")
def test_a_project_without_our_urls_has_exports_all_the_same(ann: User) -> None:
    assert job_of(payload(ann)).perform()["data"]["state"] == "ready"
