"""Refreshes the digests of envs/bases.toml from the registry, where one can be reached."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlmatrix.errors import BuildError, ConfigError, EngineError, NetworkError
from dlmatrix.system.files import diff, replace
from dlmatrix.system.process import run_lines

#: image = "python@sha256:…" # python:3.11-slim-bookworm (3.11.16)
_PIN = re.compile(r'"(?P<name>[a-z0-9./_-]+)@(?P<digest>sha256:[0-9a-f]{64})"\s*#\s*(?P<tag>\S+)(?P<note>[^\n]*)')
_PLATFORM = "linux/amd64"
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a registry says of a tag: the digest of its index, and the Python inside."""

    digest: str
    python: str


def pin(root: Path, *, write: bool, say: Callable[[str], None]) -> bool:
    """Ask the registry for every base's tag (the comment behind its digest) and show what changed.

    Returns whether anything did; the file changes only with ``write``. Raises NetworkError where
    no registry answers, and EngineError where there is no docker client with buildx.
    """
    file = root / "envs" / "bases.toml"
    text = file.read_text(encoding="utf-8")
    pins = list(_PIN.finditer(text))
    if not pins:
        raise ConfigError(f"{file}: no base is pinned with its tag as a comment", 'write "name@sha256:…" # name:tag')
    fresh = text
    for old in pins:
        found = ask(old["tag"], root)
        note = re.sub(r"\d+\.\d+\.\d+", found.python, old["note"], count=1) if found.python else old["note"]
        fresh = fresh.replace(old[0], f'"{old["name"]}@{found.digest}" # {old["tag"]}{note}')
        say(f"{old['tag']}: {'unchanged' if found.digest == old['digest'] else found.digest}")
    if fresh == text:
        return False
    say(diff(root, file, fresh))
    if write:
        replace(file, fresh)
    return True


def ask(tag: str, root: Path) -> Found:
    """What the registry serves under a tag now."""
    command = ["docker", "buildx", "imagetools", "inspect", tag, "--format", "{{json .}}"]
    try:
        done = run_lines(command, say=lambda line: None, environ=os.environ, cwd=root, timeout_seconds=_TIMEOUT_SECONDS)
    except FileNotFoundError:
        raise EngineError("there is no docker command on this machine", "install the Docker client") from None
    if re.search(r"unknown (shorthand )?(flag|command)|is not a docker command", done.said):
        raise EngineError("docker has no buildx on this machine", "install its plugin docker-buildx")
    if done.exit_code != 0:
        said = done.said.strip().splitlines()[-1:] or ["no answer"]
        if re.search(r"not found|unauthorized|denied", said[0], re.IGNORECASE):
            raise ConfigError(f"envs/bases.toml: the registry has no {tag}: {said[0]}", "correct the tag")
        raise NetworkError(
            f"no registry answers for {tag}: {said[0]}",
            "run this where one can be reached; without one, make bases from Debian packages: python -m dlmatrix bases",
        )
    return _read(tag, done.stdout)


def _read(tag: str, document: bytes) -> Found:
    try:
        answer = json.loads(document)
        digest = str(answer["manifest"]["digest"])
        image = answer["image"]
        config = image.get(_PLATFORM, image)["config"]
        python = dict(item.partition("=")[::2] for item in config.get("Env", ())).get("PYTHON_VERSION", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(
            f"{tag}: docker buildx imagetools answered something else than expected ({error!r})", "update buildx"
        ) from None
    return Found(digest=digest, python=python)
