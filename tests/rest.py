"""A way to log in that asks no database, and a client of the API."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.test import APIClient

ROOT = "/queue/api/"
EVERYTHING = "*"


class Visitor:
    """Who brings a name, and the permissions along."""

    is_authenticated = True
    is_active = True

    def __init__(self, name: str, permissions: Collection[str]) -> None:
        self.pk, self.name, self.permissions = name, name, permissions

    def __str__(self) -> str:
        return self.name

    def get_username(self) -> str:
        return self.name

    def has_perm(self, name: str) -> bool:
        return EVERYTHING in self.permissions or name.partition(".")[2] in self.permissions


class NamedUser(BaseAuthentication):
    """``Authorization: Visitor ann view_job,submit_job``"""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        words = request.headers.get("Authorization", "").split(" ")
        if words[0] != "Visitor":
            return None
        return Visitor(words[1], words[2].split(",")), None

    def authenticate_header(self, request: Request) -> str:
        return "Visitor"


class NamedUserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = NamedUser
    name = "visitor"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization"}


def client(*permissions: str, name: str = "ann", **options: Any) -> APIClient:
    """A client of somebody with some permissions, all of them where none is named."""
    words = ",".join(permissions) or EVERYTHING
    return APIClient(headers={"Authorization": f"Visitor {name} {words}"}, **options)
