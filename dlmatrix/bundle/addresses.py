"""Addresses that may hold a password, which goes to its own index and is shown to, and kept for, nobody."""

from __future__ import annotations

import base64
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit


def bare(url: str) -> str:
    """An address without who asks."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def request(url: str) -> urllib.request.Request:
    """A request; a name and a password in the address go where they belong."""
    parts = urlsplit(url)
    made = urllib.request.Request(bare(url))  # noqa: S310
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        made.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    return made
