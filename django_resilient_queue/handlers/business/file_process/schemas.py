"""What a client may ask of file:process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from ....conf import settings
from . import places
from .formats import FORMATS, IMAGE_FORMATS, OPERATIONS

_MOST_FILES, _MOST_OPERATIONS = 100, 10
_LARGEST_SIDE = 20_000
_SIZE = ("width", "height", "fit")
_PICTURE = ("quality", "strip_metadata")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "analyze": (),
    "compress": (*_PICTURE, "format"),
    "resize": (*_SIZE, *_PICTURE, "format"),
    "convert": (*_SIZE, *_PICTURE, "format", "first_page", "last_page", "dpi"),
    "thumbnail": (*_SIZE, *_PICTURE, "format", "at", "page"),
}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "compress": {"quality": 70},
    "convert": {"dpi": 150},
    "thumbnail": {"width": 256, "height": 256, "format": "jpeg", "at": 0.0, "page": 1},
}
_ANY_PICTURE = {"strip_metadata": True, "fit": "contain"}
_NEEDS = {
    "mp4": ("av", "video"),
    "txt": ("pypdfium2", "documents"),
    "html": ("mammoth", "documents"),
}


def _check_finite(value: float) -> None:
    # Older REST frameworks take "nan" for a number, and no limit holds for it.
    if not math.isfinite(value):
        raise ValidationError("A valid number is required.")


class Operation(serializers.Serializer[Any]):
    """One thing to be done to each file; which options go with which is in `OPTIONS`."""

    operation = serializers.ChoiceField(OPERATIONS)
    format = serializers.ChoiceField(FORMATS, required=False)
    width = serializers.IntegerField(required=False, min_value=1, max_value=_LARGEST_SIDE)
    height = serializers.IntegerField(required=False, min_value=1, max_value=_LARGEST_SIDE)
    fit = serializers.ChoiceField(("contain", "cover", "exact"), required=False)
    quality = serializers.IntegerField(required=False, min_value=1, max_value=95)
    strip_metadata = serializers.BooleanField(required=False)
    at = serializers.FloatField(
        required=False, min_value=0, max_value=1e6, validators=[_check_finite]
    )
    page = serializers.IntegerField(required=False, min_value=1)
    first_page = serializers.IntegerField(required=False, min_value=1)
    last_page = serializers.IntegerField(required=False, min_value=1)
    dpi = serializers.IntegerField(required=False, min_value=18, max_value=600)

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what is no option at all."""
        unknown = [name for name in data if name not in self.fields] if _is_dict(data) else []
        if unknown:
            raise ValidationError({str(name)[:100]: ["Unknown option."] for name in unknown})
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what does not go together; fill in what was left open."""
        name = attrs["operation"]
        alien = [option for option in attrs if option not in ("operation", *OPTIONS[name])]
        if alien:
            raise ValidationError({each: [f"No option of {name}."] for each in alien})
        usual = {key: value for key, value in _ANY_PICTURE.items() if key in OPTIONS[name]}
        given = {**usual, **_DEFAULTS.get(name, {}), **attrs}
        if name == "thumbnail" and ("width" in attrs) != ("height" in attrs):
            given = {**given, **{key: attrs.get(key) for key in ("width", "height")}}
        for problem in filter(
            None, (_size_problem(given), _format_problem(given), _pages_problem(given))
        ):
            raise ValidationError(problem)
        return given


def _is_dict(value: object) -> bool:
    return isinstance(value, Mapping)


def _size_problem(given: Mapping[str, Any]) -> dict[str, list[str]]:
    sides = [side for side in ("width", "height") if given.get(side)]
    if given["operation"] == "resize" and not sides:
        return {"width": ["Either this or height is required."]}
    if given.get("fit", "contain") != "contain" and len(sides) < 2:
        return {"fit": ["Needs both width and height, unlike 'contain'."]}
    return {}


def _format_problem(given: Mapping[str, Any]) -> dict[str, list[str]]:
    name, wanted = given["operation"], given.get("format")
    if name == "convert" and not wanted:
        return {"format": ["This field is required."]}
    if name == "thumbnail" and wanted not in IMAGE_FORMATS:
        return {"format": [f"A thumbnail is one of {', '.join(IMAGE_FORMATS)}."]}
    if name in ("compress", "resize") and wanted not in (None, "mp4", *IMAGE_FORMATS):
        return {"format": [f"One of {', '.join(IMAGE_FORMATS)}, or mp4."]}
    module, extra = _NEEDS.get(wanted or "", ("", ""))
    if module and find_spec(module) is None:
        line = f'pip install "django-resilient-queue[{extra}]"'
        return {"format": [f"Needs {module}, which is not installed: {line}"]}
    return {}


def _pages_problem(given: Mapping[str, Any]) -> dict[str, list[str]]:
    if given.get("last_page") and given["last_page"] < (given.get("first_page") or 1):
        return {"last_page": ["Comes before first_page."]}
    return {}


class FileProcess(serializers.Serializer[Any]):
    """Each operation is done to each file; the outputs get new names below the storage's folder for
    them. *key* makes these names, and is the same for every attempt."""

    storage = serializers.CharField(default="default", max_length=100)
    paths = serializers.ListField(
        child=serializers.CharField(max_length=places.LONGEST_PATH, trim_whitespace=False),
        min_length=1,
        max_length=_MOST_FILES,
    )
    operations = serializers.ListField(child=Operation(), min_length=1, max_length=_MOST_OPERATIONS)
    output_storage = serializers.CharField(required=False, max_length=100)
    key = serializers.UUIDField(default=uuid4)

    def validate_paths(self, paths: list[str]) -> list[str]:
        """Refuse what could lead anywhere else."""
        problems = {
            str(n): [words] for n, path in enumerate(paths) if (words := places.path_problem(path))
        }
        if problems:
            raise ValidationError(problems)
        return paths

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what FILE_STORAGES does not allow."""
        allowed = settings.FILE_STORAGES
        place = allowed.get(attrs["storage"])
        if place is None:
            raise ValidationError({"storage": ["Not in RESILIENT_QUEUE['FILE_STORAGES']."]})
        outside = {
            str(n): ["In no folder that FILE_STORAGES allows to be read."]
            for n, path in enumerate(attrs["paths"])
            if places.readable_prefix(place, path) is None
        }
        if outside:
            raise ValidationError({"paths": outside})
        output = attrs.setdefault("output_storage", attrs["storage"])
        target = allowed.get(output)
        if (target is None or not target.write) and any(
            each["operation"] != "analyze" for each in attrs["operations"]
        ):
            words = "FILE_STORAGES names no folder of it to write to."
            raise ValidationError({"output_storage": [words]})
        return attrs
