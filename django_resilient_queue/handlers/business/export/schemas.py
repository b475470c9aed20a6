"""What a payload of data:export says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ....exceptions import MissingExtra
from ...schemas import validated_part
from .datasets import Dataset, datasets
from .formats import FORMATS
from .orders import CHANNELS, Order, Piece, channel_problem
from .permits import find_user, may_export

NAME = "data:export"
_MOST = 100  # columns, datasets
_ONLY_OF_SUBJECT = _("Only for an export of a subject.")


def _names() -> serializers.ListField:
    child = serializers.CharField(max_length=200)
    return serializers.ListField(child=child, default=list, max_length=_MOST)


class ExportOrder(serializers.Serializer[Any]):
    """Either ``dataset``, or ``subject``: all that registered datasets hold about one user."""

    user = serializers.CharField(max_length=255)  # the key of who asks
    dataset = serializers.CharField(max_length=64, default="", allow_blank=True)
    subject = serializers.CharField(max_length=255, default=None, allow_blank=True, allow_null=True)
    datasets = _names()  # of a subject; all without
    file_format = serializers.ChoiceField(choices=list(FORMATS), default="csv")
    filters = serializers.DictField(default=dict)
    columns = _names()  # all without
    notify = serializers.ListField(
        child=serializers.ChoiceField(choices=list(CHANNELS)),
        default=list,
        max_length=len(CHANNELS),
    )

    def validate_user(self, key: str) -> Any:
        """Turn the key into an active user, who is the one who enqueues it, where that is known."""
        user = find_user(key)
        if user is None or not user.is_active:
            raise serializers.ValidationError(_("No active user has this key."), "unknown")
        if self.context.get("user_id") not in (None, user.pk, str(user.pk)):
            words = _("Nobody may export in the name of another user.")
            raise serializers.ValidationError(words, "permission_denied")
        return user

    def validate_subject(self, key: str | None) -> Any:
        """Turn the key into a user."""
        if not key:
            return None
        if (user := find_user(key)) is None:
            raise serializers.ValidationError(_("No user has this key."), "unknown")
        return user

    def validate_file_format(self, name: str) -> str:
        """Raise MissingExtra, with the line that installs it, when it can't be written."""
        if not FORMATS[name].is_there:
            raise MissingExtra(NAME, [FORMATS[name].requires], name)
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Add the order, as ``order``."""
        user, subject = attrs["user"], attrs["subject"]
        if bool(attrs["dataset"]) == (subject is not None):
            raise _field("dataset", _("Name either a dataset or a subject."), "invalid")
        chosen = self._chosen(attrs)
        if not may_export(user, chosen, subject):
            where = "subject" if subject is not None else "dataset"
            raise _field(where, _("The user may not export this."), "permission_denied")
        for channel in attrs["notify"]:
            if problem := channel_problem(channel, user):
                raise _field("notify", problem, "unavailable")
        pieces = [self._piece(dataset, attrs) for dataset in chosen]
        file_format, notify = FORMATS[attrs["file_format"]], tuple(attrs["notify"])
        return {**attrs, "order": Order(user, subject, pieces, file_format, notify)}

    def _chosen(self, attrs: Mapping[str, Any]) -> list[Dataset]:
        of_subject = attrs["subject"] is not None
        for name in ("filters", "columns") if of_subject else ("datasets",):
            if attrs[name]:
                words = _("Not for an export of a subject.") if of_subject else _ONLY_OF_SUBJECT
                raise _field(name, words, "invalid")
        if not of_subject:
            return [_known("dataset", attrs["dataset"])]
        return _of_subjects(attrs["datasets"])

    def _piece(self, dataset: Dataset, attrs: Mapping[str, Any]) -> Piece:
        columns = dict(dataset.columns)
        if chosen := attrs["columns"]:
            if unknown := [name for name in chosen if name not in columns]:
                words = _("Unknown: %s.") % ", ".join(unknown)
                raise _field("columns", words, "unknown")
            columns = {name: columns[name] for name in chosen}
        return Piece(dataset, columns, _filter_values(dataset, attrs["filters"]))


def _of_subjects(names: list[str]) -> list[Dataset]:
    """Return datasets that say whose their rows are: those named, or all."""
    if not names:
        found = [each for each in datasets if each.subject is not None]
        if not found:
            raise _field("subject", _("No dataset says whose its rows are."), "unknown")
        return found
    found = [_known("datasets", name) for name in dict.fromkeys(names)]
    for dataset in found:
        if dataset.subject is None:
            words = _("%s does not say whose its rows are.") % dataset.name
            raise _field("datasets", words, "invalid")
    return found


def _known(name: str, wanted: str) -> Dataset:
    found = datasets.find(wanted)
    if found is None:
        words = _("No dataset has this name. %s") % datasets.near(wanted)
        raise _field(name, words.strip(), "unknown")
    return found


def _filter_values(dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    return validated_part("filters", dataset.filters, given, _("Unknown filter."))


def _field(name: str, words: Any, code: str) -> serializers.ValidationError:
    return serializers.ValidationError({name: [words]}, code)
