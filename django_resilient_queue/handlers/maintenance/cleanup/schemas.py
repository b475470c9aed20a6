"""What a payload of cleanup says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ....conf import settings
from ...cleanups import CleanupTask, cleanup_tasks
from ...schemas import validated_part

_MINUTE, _DAY = 60, 86_400
_MOST_TASKS, _MOST_PATTERNS = 20, 50
_ROTATED = ["*.log.[0-9]*", "*.log-[0-9]*", "*.log*.gz", "*.log*.bz2", "*.log*.xz", "*.log*.zst"]


def _patterns(**options: Any) -> serializers.ListField:
    child = serializers.RegexField(r"\A[^/\0]+\Z", max_length=100)
    return serializers.ListField(
        child=child, allow_empty=False, max_length=_MOST_PATTERNS, **options
    )


class OldFiles(serializers.Serializer[Any]):
    """Of temporary_files. Patterns are of the name, as in ``*.part``."""

    root = serializers.CharField(max_length=100)  # type: ignore[assignment]
    patterns = _patterns()
    # In seconds. What is younger, somebody may be writing.
    older_than = serializers.IntegerField(default=_DAY, min_value=_MINUTE, max_value=3650 * _DAY)

    def validate_root(self, name: str) -> str:
        """Take what CLEANUP_ROOTS names."""
        if name not in settings.CLEANUP_ROOTS:
            raise serializers.ValidationError(_("No folder has this name in CLEANUP_ROOTS."))
        return name


class OldLogs(OldFiles):
    """Of rotated_logs."""

    patterns = _patterns(default=_ROTATED)
    older_than = serializers.IntegerField(
        default=30 * _DAY, min_value=_MINUTE, max_value=3650 * _DAY
    )


class TaskChoice(serializers.Serializer[Any]):
    """One task, and what it takes."""

    task = serializers.CharField(max_length=64)
    options = serializers.DictField(default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Put the task itself in the place of its name, and its options as it wants them."""
        task = cleanup_tasks.find(attrs["task"])
        if task is None:
            words = f"{_('No cleanup task has this name.')} {cleanup_tasks.hint(attrs['task'])}"
            raise serializers.ValidationError({"task": [words]}, "unknown")
        return {"task": task, "options": _options(task, attrs["options"])}


class Cleanup(serializers.Serializer[Any]):
    """``limit``: things that one task removes at most."""

    tasks = TaskChoice(many=True, allow_empty=False, max_length=_MOST_TASKS)  # type: ignore[call-arg]
    dry_run = serializers.BooleanField(default=False)
    limit = serializers.IntegerField(default=10_000, min_value=1, max_value=1_000_000)


def _options(task: CleanupTask, given: Mapping[str, Any]) -> dict[str, Any]:
    return validated_part("options", task.options, given, _("Unknown option."))
