"""The HTTP session by which messages go to addresses that users have told. Imports `requests`,
hence only imported where something is sent."""

from __future__ import annotations

import socket
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from .....conf import settings
from ..endpoints import resolve


class _Resolved(HTTPConnection):
    """Connects to the very address that was looked at: a name may change between two questions."""

    def _new_conn(self) -> socket.socket:
        try:
            address = resolve(self._dns_host, self.port)
            return create_connection((address, self.port), settings.NOTIFICATION_TIMEOUT)
        except OSError as error:
            raise NewConnectionError(self, type(error).__name__) from error


class _ResolvedTls(_Resolved, HTTPSConnection):
    """The same with TLS; the certificate is that of the name."""


class _Plain(HTTPConnectionPool):
    ConnectionCls = _Resolved


class _Tls(HTTPSConnectionPool):
    ConnectionCls = _ResolvedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have all connections made by the classes above."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Plain, "https": _Tls}


class GuardedSession(Session):
    """Follows no redirect, reads no body, asks no proxy."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Post and take status and headers; the body could be endless."""
        response = super().send(request, **{**kwargs, "stream": True, "allow_redirects": False})
        response._content = b""
        response.close()
        return response
