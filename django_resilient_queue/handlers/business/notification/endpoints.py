"""Which addresses a message may be posted to that users have told: none of the own network."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from ....conf import settings

_LONGEST = 2000


class ForbiddenEndpoint(Exception):
    """An address that no push service has; the message says why, without the address."""


def check_endpoint(url: str) -> None:
    """Raise ForbiddenEndpoint for what its form tells already; names are not resolved."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ForbiddenEndpoint("It is no URL.") from None
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST or not host:
        raise ForbiddenEndpoint("It is no URL.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenEndpoint("It must have no credentials.")
    if settings.PUSH_PRIVATE_ADDRESSES:
        return
    if parts.scheme != "https" or port not in (None, 443):
        raise ForbiddenEndpoint("It must be https, at its usual port.")
    if "." not in host and ":" not in host:
        raise ForbiddenEndpoint("It is not a public address.")
    _check_literal(host)


def check_address(address: str) -> None:
    """Raise ForbiddenEndpoint for an IP address that is not a public one."""
    if not settings.PUSH_PRIVATE_ADDRESSES and not _is_public(address):
        raise ForbiddenEndpoint("It is not a public address.")


def resolve(host: str, port: int) -> str:
    """Return an IP address of a host, all of which must be public. Raises ForbiddenEndpoint, and
    OSError where the name is not known."""
    found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        check_address(address)
    return found[0]


def _check_literal(host: str) -> None:
    try:
        # As the system reads it: 127.1 and 0x7f000001 are addresses, too.
        address = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        address = host
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return
    check_address(address)


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or _embedded(ip)
        if inner is not None and not inner.is_global:
            return False
        if ip.ipv4_mapped is not None:
            return not ip.ipv4_mapped.is_multicast
    return ip.is_global and not ip.is_multicast


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address behind one of NAT64."""
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
