"""What a payload of email:send may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from rest_framework import serializers

from ...schemas import storable
from . import addresses, attachments, headers, html, templates, transport
from .letter import FIELDS

T = TypeVar("T")

MOST_RECIPIENTS = 100  # what RFC 5321 has every server take at once
_LONGEST_ADDRESS = 600


class AddressField(serializers.CharField):
    """``ann@example.com`` or ``Ann <ann@example.com>``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """Return an `Address`."""
        text = super().to_internal_value(data)
        if len(text) > _LONGEST_ADDRESS or headers.has_control(text):
            raise serializers.ValidationError("Not an address.", code="invalid")
        try:
            return addresses.parse(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from None


def _addresses() -> serializers.ListField:
    return serializers.ListField(
        child=AddressField(), required=False, allow_empty=True, max_length=MOST_RECIPIENTS
    )


class AttachmentSchema(serializers.Serializer[Any]):
    """One file of a storage."""

    path = serializers.CharField(trim_whitespace=False)
    storage = serializers.CharField(default="default", max_length=100)
    name = serializers.CharField(
        required=False, max_length=attachments.LONGEST_NAME, trim_whitespace=False
    )
    content_type = serializers.CharField(required=False, max_length=120)

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what there is no field for."""
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        if unknown:
            raise serializers.ValidationError({str(name): ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)

    def validate_name(self, value: str) -> str:
        """See `name_problem`."""
        return _sound(value, attachments.name_problem(value))

    def validate_content_type(self, value: str) -> str:
        """See `type_problem`."""
        return _sound(value.lower(), attachments.type_problem(value.lower()))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """See `path_problem`."""
        if found := attachments.path_problem(attrs["path"], attrs["storage"]):
            raise serializers.ValidationError({"path": [found]}, code="invalid")
        return attrs


class EmailSend(serializers.Serializer[Any]):
    """A mail: recipients, a subject, and text, HTML or a template for both."""

    to = _addresses()
    cc = _addresses()
    bcc = _addresses()
    reply_to = _addresses()
    from_email = AddressField(required=False)
    subject = serializers.CharField(required=False, max_length=headers.LONGEST_SUBJECT)
    body = serializers.CharField(required=False, trim_whitespace=False)
    html = serializers.CharField(required=False, trim_whitespace=False)
    inline_css = serializers.BooleanField(default=True)
    template = serializers.CharField(required=False)
    variables = serializers.DictField(required=False, validators=[storable])
    headers = serializers.DictField(required=False)
    attachments = AttachmentSchema(many=True, required=False)
    mailer = serializers.CharField(required=False, max_length=100)

    def validate_from_email(self, value: addresses.Address) -> addresses.Address:
        """Take the names that the project sends in."""
        allowed = addresses.may_send(value)
        return _sound(value, "" if allowed else "Not a sender that MAIL_SENDERS allows.")

    def validate_subject(self, value: str) -> str:
        """Keep it to its one header."""
        return _sound(value, headers.subject_problem(value))

    def validate_html(self, value: str) -> str:
        """See `html.problem`."""
        return _sound(value, html.problem(value))

    def validate_template(self, value: str) -> str:
        """See `templates.problem`."""
        return _sound(value, templates.problem(value))

    def validate_mailer(self, value: str) -> str:
        """Take those that there are."""
        known = transport.is_mailer(value)
        return _sound(value, "" if known else "No such mailer in MAIL_BACKENDS.")

    def validate_headers(self, value: dict[str, Any]) -> dict[str, Any]:
        """See `headers.problem`."""
        if len(value) > headers.MOST or len({name.lower() for name in value}) < len(value):
            raise serializers.ValidationError(f"At most {headers.MOST}, and each once.")
        found = {name[:80]: [headers.problem(name, text)] for name, text in value.items()}
        if problems := {name: words for name, words in found.items() if words[0]}:
            raise serializers.ValidationError(problems)
        return value

    def validate_attachments(self, value: list[Any]) -> list[Any]:
        """Keep them few."""
        few = len(value) <= attachments.MOST
        return _sound(value, "" if few else f"At most {attachments.MOST}.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Look at what belongs together."""
        problems = {**_of_recipients(attrs), **_of_content(attrs)}
        if problems:
            raise serializers.ValidationError(problems, code="invalid")
        return attrs


def _sound(value: T, problem: str) -> T:
    if problem:
        raise serializers.ValidationError(problem, code="invalid")
    return value


def _of_recipients(attrs: Mapping[str, Any]) -> dict[str, list[str]]:
    count = sum(len(attrs.get(field, ())) for field in FIELDS)
    if count == 0:
        return {"to": ["At least one recipient, here or in cc or bcc."]}
    if count > MOST_RECIPIENTS:
        return {"to": [f"At most {MOST_RECIPIENTS} recipients, those of cc and bcc included."]}
    return {}


def _of_content(attrs: Mapping[str, Any]) -> dict[str, list[str]]:
    name = attrs.get("template")
    if not (name or attrs.get("body") or attrs.get("html")):
        return {"body": ["A body, html or a template."]}
    if name and attrs.get("html"):
        return {"html": ["Either this or a template."]}
    if attrs.get("variables") and not name:
        return {"variables": ["They need a template."]}
    if not attrs.get("subject") and not (name and templates.has_part(name, "subject.txt")):
        return {"subject": ["Required, unless the template has a part NAME.subject.txt."]}
    return {}
