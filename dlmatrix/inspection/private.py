"""What no text file of an image may hold: known forms of secrets, this machine's passwords, its certificates."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass

#: Known forms of secrets.
_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----",
        rb"AKIA[0-9A-Z]{16}",
        rb"gh[pousr]_[A-Za-z0-9]{36}",
        rb"github_pat_[A-Za-z0-9_]{40}",
        rb"pypi-AgE[A-Za-z0-9_-]{50}",
        rb"hf_[A-Za-z]{34}",
    )
)
#: What a text is told to hold.
SECRET, CERTIFICATE = "secret", "certificate"


@dataclass(frozen=True, kw_only=True)
class Private:
    """What is this machine's own, and is searched for beside known forms of secrets."""

    passwords: tuple[str, ...] = ()
    #: a line of each certificate
    certificates: tuple[str, ...] = ()

    def digest(self, key: bytes) -> str:
        """Stands for it where it must not be told; a password could be guessed by it without the ``key``."""
        return hmac.new(key if self.passwords else b"", json.dumps(asdict(self)).encode(), hashlib.sha256).hexdigest()

    def in_text(self, text: bytes) -> set[str]:
        """Of SECRET and CERTIFICATE, what is in a text."""
        found = set()
        if any(form.search(text) for form in _SECRETS) or any(own.encode() in text for own in self.passwords):
            found.add(SECRET)
        if any(own.encode() in text for own in self.certificates):
            found.add(CERTIFICATE)
        return found
