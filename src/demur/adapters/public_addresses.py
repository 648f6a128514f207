"""Where a name leads to, and whether that is out in the public: a URL of somebody else must reach nothing inside.

Whoever asks connects to the very address that was looked at; asked a second time, a hostile name could lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""


class AddressError(Exception):
    """A name leads nowhere, or to where it may not."""


def resolve(host: str, port: int, *, is_private_allowed: bool = False) -> str:
    """One address of `host` to connect to; raises `AddressError` where there is none, or one of them is private."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"expected an address for `{host[:80]}`, found none") from error
    addresses = [str(item[4][0]).partition("%")[0] for item in found]
    if not addresses:
        raise AddressError(f"expected an address for `{host[:80]}`, found none")
    if not is_private_allowed and not all(is_public(address) for address in addresses):
        raise AddressError(f"expected a public address for `{host[:80]}`, found one that is not")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address can be reached from anywhere: not private, local, reserved, multicast, nor one in disguise."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    inner = _inner(address)
    return address.is_global and not address.is_multicast and (inner is None or is_public(str(inner)))


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
