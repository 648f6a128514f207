"""Where a name leads to, for those who call URLs that others named."""

from demur.adapters.public_addresses import AddressError, resolve

__all__ = ["AddressError", "resolve"]
