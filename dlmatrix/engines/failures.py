"""Recognises, in what Docker, BuildKit and uv say, the failures that have a name and a next step."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from dlmatrix.errors import (
    BaseMissingError,
    BuildError,
    ConfigError,
    DiskFullError,
    DlmatrixError,
    EngineError,
    IntegrityError,
    NetworkError,
)
from dlmatrix.matrix.local import Local
from dlmatrix.system.words import listed


@dataclass(frozen=True, kw_only=True)
class _Sign:
    pattern: re.Pattern[str]
    error: type[DlmatrixError]
    message: str
    next_step: str
    #: whether it can be for want of a local file
    lacks: bool = False


def _sign(pattern: str, error: type[DlmatrixError], message: str, next_step: str, lacks: bool = False) -> _Sign:
    return _Sign(pattern=re.compile(pattern, re.I), error=error, message=message, next_step=next_step, lacks=lacks)


# In this order: a full disk also breaks connections and bases, and a lost engine breaks everything.
_SIGNS = (
    _sign(
        r"no space left on device|disk quota exceeded",
        DiskFullError,
        "the disk is full where {where} writes",
        "free some space (`docker system df`, `df -h`), then run it again",
    ),
    _sign(
        # What a disk of Linux turns into that finds itself broken; of NVIDIA's hook it is the image's own root.
        r"(?m)^(?!.*nvidia).*(?:read-only file system|structure needs cleaning|input/output error)",
        DiskFullError,
        "the disk is read-only, or broken, where {where} writes",
        "look for the reason (`dmesg | tail -50`, `df -h`) and mend it, then run it again",
    ),
    _sign(
        r"hash mismatch for `?(?P<what>[^`\n]+)`?",
        IntegrityError,
        "{what}: the file is not the one the lock names, and was refused",
        "do not install it; if the lock is meant to change: nox -s lock -- {env} --write",
        lacks=True,
    ),
    _sign(
        r"failed to download `(?P<what>[^`\n]+)`[^`]*?failed to extract archive",
        IntegrityError,
        "{what}: what came is no whole file, and not the one the lock names",
        "run it again; where it comes so again, look at the index, or at the proxy before it",
        lacks=True,
    ),
    _sign(
        r"client version (?P<what>[\d.]+) is too (?:old|new)",
        EngineError,
        "the docker command speaks version {what} of the engine's API, and this engine does not",
        "unset DOCKER_API_VERSION, where it is set; else install a docker command that fits the engine",
    ),
    _sign(
        # uv says "connection reset by peer" too, of an index; it adds the number of the error.
        r"cannot connect to the docker daemon|error reading from server: EOF|connection reset by peer(?! \(os error)"
        r"|transport is closing|error during connect|docker\.sock: connect: connection refused"
        r"|no such host.*docker|received unexpected EOF|closing transport"
        r"|client connection is closing",
        EngineError,
        "the Docker engine went away",
        "start it again (`docker version` must answer), then run the same command",
    ),
    _sign(
        r"unknown command: docker buildx|unknown flag: --builder",
        EngineError,
        "the docker command has no buildx",
        "install it (docker-buildx, or docker-buildx-plugin), then run the same command",
    ),
    _sign(
        r"failed to resolve source metadata for (?P<what>\S+?):? |pull access denied for (?P<image>\S+)",
        BaseMissingError,
        "the base image {what} is not on this engine and cannot be pulled",
        "make one from Debian packages: python -m dlmatrix bases",
    ),
    _sign(
        r"invalid peer certificate: (?P<what>[^\n]+)",
        NetworkError,
        "the certificate of the package index is not trusted ({what}){asked}",
        "name the file with your site's certificates: export SSL_CERT_FILE=FILE; then run it again",
        lacks=True,
    ),
    _sign(
        r"HTTP status client error \((?P<what>40[137] [\w ]+)\)",
        NetworkError,
        "the package index lets nobody in like that ({what}){asked}",
        "give pip or uv the user and password that it wants (in its address, or in ~/.netrc); then run it again",
        lacks=True,
    ),
    _sign(
        r"received some unexpected (?:HTML|JSON)",
        NetworkError,
        "what answers for the package index is none{asked}",
        "look at its address, and at what stands between (a proxy, a page to log in at); then run it again",
        lacks=True,
    ),
    _sign(
        r"(failed to fetch|could not connect|error sending request|dns error|failed to lookup address"
        r"|operation timed out)[^\n]*?(?P<what>https?://\S+)?",
        NetworkError,
        "the package index cannot be reached{asked}",
        "check the network, or configure a mirror, proxy or find-links for pip or uv; then run it again",
        lacks=True,
    ),
    _sign(
        r"no trusted hash was provided for: `(?P<what>[^`\n]+)`",
        ConfigError,
        "its lock lacks {what}, which another distribution of it needs",
        "generate the lock again: nox -s lock -- {env} --write",
    ),
    _sign(
        r"(?:no solution found[^\n]*\n[^\n]*?)?\b(?P<absent>[\w.-]+) was not found in the (?:package reg|provided pack)"
        r"|(?:no solution found[^\n]*\n[^\n]*)?there is no version of (?P<what>\S+)|no solution found",
        BuildError,
        "a locked distribution is on no index that this machine knows{named}",
        "configure the index or find-links folder that has it for pip or uv, with the user and password that it wants; "
        "then run it again",
        lacks=True,
    ),
)


def vanished(said: str) -> bool:
    """Whether the engine deleted a layer while it unpacked an image that has it.

    Seen once, with Docker 28.5, where the new image took the tag of one that it shared the layer with: probably
    what is no longer named is collected while what is named anew is unpacked.
    """
    return re.search(r"parent snapshot \S+ does not exist", said) is not None


def _asked(said: str) -> str:
    """Which index was asked for which package, from the first address in uv's text; nothing else of it is shown."""
    found = re.search(r"https?://(?:[^/\s`]*@)?(?P<host>[^/\s`:]+)(?P<path>[^\s`)]*)", said)
    if not found:
        return ""
    *_, last = ["", *filter(None, found["path"].split("/"))]
    return f": {found['host']}, asked for {last.partition('#')[0]}" if last else f": {found['host']}"


def _for_want_of(local: Local, error: DlmatrixError, env: str) -> DlmatrixError:
    """The same failure, with what the find-links folders have otherwise than locked, or have not."""
    if local.altered:
        files = listed(map(str, local.altered))
        # Of the two, nobody here can tell which is the changed one.
        next_step = f"download it again, or delete it; if the lock is what is wrong: nox -s lock -- {env} --write"
        return IntegrityError(f"{env}: {files}: not the file that the lock names", next_step)
    if not local.lacking or isinstance(error, IntegrityError):
        return error
    what = f"the find-links folders have no file for Python {local.python} of {listed(local.lacking)}"
    return type(error)(f"{error.message}; {what}", f"put it into one of them, or {error.next_step}")


def explain(said: str, env: str, where: str, exit_code: int = 1, local: Local | None = None) -> DlmatrixError:
    """The named failure in the output of a build; where none is recognised, its last lines as they are.

    ``exit_code`` is that of the command, which is below zero where a signal ended it; ``local`` are the files of the
    lock that were at hand.
    """
    for sign in _SIGNS:
        if exit_code < 0 and sign.error is EngineError:  # what a killed command says of its connections it ended itself
            continue
        if match := sign.pattern.search(said):
            found = {key: value for key, value in match.groupdict().items() if value}
            what = found.get("what") or found.get("image") or found.get("absent") or ""
            names = {"what": what.strip(), "env": env, "where": where, "asked": _asked(said)}
            names["named"] = f": {names['what']}" if what else ""
            error = sign.error(f"{env}: {sign.message.format(**names)}", sign.next_step.format(**names))
            return _for_want_of(local, error, env) if sign.lacks and local and local.files else error
    if exit_code < 0:
        name = next((one.name for one in signal.Signals if one == -exit_code), f"signal {-exit_code}")
        return BuildError(f"{env}: the build was killed by {name}", "see whether the kernel did it: dmesg | tail")
    tail = "\n".join(said.strip().splitlines()[-12:])
    return BuildError(
        f"{env}: the build failed:\n{tail}", "read the lines above; `python -m dlmatrix plan` shows the command"
    )
