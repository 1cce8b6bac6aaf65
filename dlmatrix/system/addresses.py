"""Addresses that may hold a password, which goes to its own index and is shown to, and kept for, nobody."""

from __future__ import annotations

import base64
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit


def bare(url: str) -> str:
    """An address without who asks."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def authorization(url: str) -> str:
    """The header's value by which who asks is known, which may be a token without a password; "" where nobody is."""
    parts = urlsplit(url)
    if not parts.username and not parts.password:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def request(url: str) -> urllib.request.Request:
    """A request; a name and a password in the address go where they belong."""
    made = urllib.request.Request(bare(url))  # noqa: S310
    if who := authorization(url):
        made.add_unredirected_header("Authorization", who)
    return made
