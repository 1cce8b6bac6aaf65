"""Which engine the docker command would use: DOCKER_HOST, else DOCKER_CONTEXT, else the current context.

https://docs.docker.com/engine/manage-resources/contexts/ has the order; contexts are files of the docker command.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.errors import EngineError
from dlmatrix.system.files import read_limited

_USUAL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True)
class Address:
    """An engine's address, and the context that it is of; ``host`` is as in DOCKER_HOST."""

    context: str = "default"
    host: str = _USUAL

    @property
    def near(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.host.startswith("unix://")

    @property
    def machine(self) -> str:
        """The name of the machine, "" for this one."""
        return urllib.parse.urlsplit(self.host).hostname or ""

    @property
    def login(self) -> str:
        """What ``ssh`` is to be given to get there."""
        parts = urllib.parse.urlsplit(self.host)
        user = f"{parts.username}@" if parts.username else ""
        port = re.search(r":(\d+)$", parts.netloc)
        return f"{f'-p {port[1]} ' if port else ''}{user}{self.machine}"

    def __str__(self) -> str:
        """As it is shown, without a password."""
        host = without_password(self.host)
        return host if self.context == "default" else f"{host} (the context {self.context})"


def without_password(text: str) -> str:
    """A text in which no address has its password any more."""
    return re.sub(r"(//[^/:@\s]*):[^/\s]*@", r"\1@", text)


def builder(environ: Mapping[str, str] = os.environ) -> str:
    """The name of the context in use, which is that of buildx's builder on its engine."""
    return "default" if environ.get("DOCKER_HOST") else _named(environ)[0]


def address(environ: Mapping[str, str] = os.environ) -> Address:
    """The address in use. Raises EngineError for a context that is not there, and for what is no address."""
    if host := environ.get("DOCKER_HOST"):
        return _checked(Address(host=host), "DOCKER_HOST")
    name, names = _named(environ)
    if name == "default":
        return Address()
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    file = _folder(environ) / "contexts" / "meta" / digest / "meta.json"
    try:
        host = json.loads(read_limited(file))["Endpoints"]["docker"]["Host"]
    except FileNotFoundError:
        raise EngineError(
            f"there is no Docker context {name[:80]}, which {names} names",
            "`docker context ls` lists those that there are",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise EngineError(f"{file}: names no Docker engine", f"see: docker context inspect {name}") from None
    return _checked(Address(context=name, host=str(host or _USUAL)), str(file))


def _checked(found: Address, where: str) -> Address:
    try:
        urllib.parse.urlsplit(found.host)
    except ValueError:
        what = f"{where}: {without_password(found.host)[:80]} is no address of a Docker engine"
        raise EngineError(what, "write it like unix:///run/docker.sock, tcp://HOST:2376 or ssh://HOST") from None
    return found


def _named(environ: Mapping[str, str]) -> tuple[str, str]:
    """The name of the context in use, and what names it."""
    if name := environ.get("DOCKER_CONTEXT"):
        return name, "DOCKER_CONTEXT"
    file = _folder(environ) / "config.json"
    try:
        config: Any = json.loads(read_limited(file))
    except (OSError, ValueError, RecursionError):  # the docker command warns of it, and goes on without it
        config = {}
    name = config.get("currentContext") if isinstance(config, dict) else ""
    return str(name or "default"), str(file)


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
