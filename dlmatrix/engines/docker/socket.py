"""Why a Docker engine's socket does not answer, where the reason is who asks."""

from __future__ import annotations

import grp
import os
from pathlib import Path


def locked_out(host: str) -> str:
    """The group that may use an engine's socket, where this user may not; "" for everything else.

    ``host`` is as DOCKER_HOST.
    """
    kind, _, path = host.partition("://")
    socket = Path(path)
    if kind != "unix" or not socket.is_socket() or os.access(socket, os.R_OK | os.W_OK):
        return ""
    number = socket.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
