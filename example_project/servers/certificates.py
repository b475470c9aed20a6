"""A certificate for localhost, from an authority of one run. Needs trustme, of the test extra."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """`ca_file` is what a client must trust, `server_context()` what a server or proxy presents."""

    def __init__(self, directory: Path | str) -> None:
        authority = trustme.CA()
        self._certificate = authority.issue_cert("localhost", "127.0.0.1")
        self.ca_file = Path(directory) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        return context
