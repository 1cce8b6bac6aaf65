"""What Docker, BuildKit and uv really say has a name and a next step.

Recorded with Docker 28.5, buildx 0.29 and uv 0.13.9; addresses of registries are replaced by
examples. What is said of an engine that dies is from github.com/docker/buildx/issues/2064 and
2789; the full disk's text is composed of Go's words for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlmatrix.engines.docker.buildx import buildx
from dlmatrix.engines.failures import explain
from dlmatrix.errors import (
    BaseMissingError,
    BuildError,
    DiskFullError,
    DlmatrixError,
    EngineError,
    IntegrityError,
    NetworkError,
)

UV_HASH = """\
Using Python 3.11.2 environment at: v
Resolved 1 package in 85ms
error: Failed to download `idna==3.10`
  cause: Hash mismatch for `idna==3.10`

         Expected:
           sha256:0000000000000000000000000000000000000000000000000000000000000001

         Computed:
           sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3
"""
UV_REFUSED = """\
Using Python 3.11.2 environment at: v
error: Failed to fetch: http://127.0.0.1:9/simple/idna/
  cause: error sending request for url (http://127.0.0.1:9/simple/idna/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
UV_RESET = """\
error: Failed to fetch: http://127.0.0.1:48481/simple/idna/
  cause: error sending request for url (http://127.0.0.1:48481/simple/idna/)
  cause: client error (SendRequest)
  cause: connection error
  cause: Connection reset by peer (os error 104)
"""
UV_DNS = """\
error: Failed to fetch: http://no-such-host.invalid/simple/idna/
  cause: error sending request for url (http://no-such-host.invalid/simple/idna/)
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known
"""
UV_NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of idna==99.1 and you require idna==99.1, we can conclude that your \
requirements are unsatisfiable.
"""
UV_NO_PACKAGE = """\
error: No solution found when resolving dependencies
  cause: Because idna was not found in the provided package locations and you require idna==3.10, we can \
conclude that your requirements are unsatisfiable.

hint: Packages were unavailable because index lookups were disabled and no additional package locations were \
provided (try: `--find-links <uri>`)
"""
UV_FULL = """\
error: Failed to write to the client cache
  cause: failed to write to file `/cache/simple-v28/index/.tmpCQoB8U`: No space left on device (os error 28)
"""
UV_UNKNOWN = """\
error: No solution found when resolving dependencies
  cause: Because idna was not found in the package registry and you require idna==3.10, we can conclude that your \
requirements are unsatisfiable.
"""
UV_TORN = """\
Resolved 1 package in 12ms
error: Failed to download `idna==3.10`
  cause: Failed to extract archive: idna-3.10-py3-none-any.whl
  cause: Bad uncompressed size (got 00000023, expected 0000006e) for file: idna-3.10.dist-info/RECORD
"""
UV_FORBIDDEN = """\
error: Failed to fetch: http://127.0.0.1:18708/idna-3.10-py3-none-any.whl
  cause: HTTP status client error (403 Forbidden) for url (http://127.0.0.1:18708/idna-3.10-py3-none-any.whl)
"""
UV_CERTIFICATE = """\
error: Failed to fetch: https://127.0.0.1:18712/simple/idna/
  cause: error sending request for url (https://127.0.0.1:18712/simple/idna/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
UV_NO_INDEX = """\
error: Received some unexpected HTML from `http://127.0.0.1:18711/simple/idna/`
  cause: HTML input exceeds the byte limit
"""
DIGEST = "0" * 63 + "1"
BUILDX_BASE = f"""\
#2 [internal] load metadata for registry.example/library/python@sha256:{DIGEST}
#2 ERROR: failed to do request: Head "https://registry.example/v2/library/python/manifests/sha256:{DIGEST}": \
dial tcp: lookup registry.example on 10.0.0.53:53: no such host
------
 > [internal] load metadata for registry.example/library/python@sha256:{DIGEST}:
------
Dockerfile:1
--------------------
   1 | >>> FROM python@sha256:{DIGEST}
   2 |
--------------------
ERROR: failed to build: failed to solve: python@sha256:{DIGEST}: failed to resolve source metadata for \
registry.example/library/python@sha256:{DIGEST}: failed to do request: Head \
"https://registry.example/v2/library/python/manifests/sha256:{DIGEST}": dial tcp: lookup registry.example on \
10.0.0.53:53: no such host
"""
BUILDX_NO_DAEMON = (
    "ERROR: Cannot connect to the Docker daemon at unix:///tmp/none.sock. Is the docker daemon running?\n"
)
BUILDX_KILLED = """\
#9 12.31 Downloading torch (180.1MiB)
ERROR: failed to build: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF
"""
BUILDX_CLOSING = """\
ERROR: failed to receive status: rpc error: code = Unavailable desc = closing transport due to: connection error: \
desc = "error reading from server: EOF", received prior goaway: code: NO_ERROR, debug data: "graceful_stop"
"""
RUN_CANCELED = """\
docker: Error response from daemon: Canceled: grpc: the client connection is closing: context canceled

Run 'docker run --help' for more information
"""
BUILDX_FULL = """\
#12 exporting layers
#12 ERROR: failed to copy: write /var/lib/containerd/ingest/data: no space left on device
ERROR: failed to build: failed to solve: failed to copy: write /var/lib/containerd/ingest/data: no space left on device
"""
BUILDX_READ_ONLY = """\
#2 ERROR: failed to create lease: open /var/lib/docker/buildkit/metadata.db: read-only file system
ERROR: failed to build: failed to solve: failed to read dockerfile: read-only file system
"""
NO_BUILDX = (
    "unknown flag: --builder\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n"
)
BUILDX_UNKNOWN = """\
#4 [1/1] COPY nothere /
#4 ERROR: failed to calculate checksum of ref ynlqwq::u1qtbe: "/nothere": not found
------
 > [1/1] COPY nothere /:
------
Dockerfile:2
--------------------
   1 |     FROM scratch
   2 | >>> COPY nothere /
   3 |
--------------------
ERROR: failed to build: failed to solve: failed to compute cache key: failed to calculate checksum of ref \
ynlqwq::u1qtbe: "/nothere": not found
"""


@pytest.mark.parametrize(
    ("said", "error", "message", "next_step"),
    [
        (UV_HASH, IntegrityError, "idna==3.10: the file is not the one the lock names", "lock -- cpu-x --write"),
        (UV_REFUSED, NetworkError, "the package index cannot be reached", "mirror, proxy or find-links"),
        (UV_RESET, NetworkError, "the package index cannot be reached", "mirror"),
        (UV_DNS, NetworkError, "the package index cannot be reached", "mirror"),
        (UV_NO_VERSION, BuildError, "a locked distribution is on no index", "find-links"),
        (UV_UNKNOWN, BuildError, "is on no index that this machine knows: idna", "user and password that it wants"),
        (UV_TORN, IntegrityError, "idna==3.10: what came is no whole file", "run it again"),
        (UV_FORBIDDEN, NetworkError, "lets nobody in like that (403 Forbidden): 127.0.0.1, asked for idna", "netrc"),
        (UV_CERTIFICATE, NetworkError, "is not trusted (UnknownIssuer): 127.0.0.1, asked for idna", "SSL_CERT_FILE"),
        (UV_NO_INDEX, NetworkError, "what answers for the package index is none: 127.0.0.1", "look at its address"),
        (UV_NO_PACKAGE, BuildError, "a locked distribution is on no index", "find-links"),
        (UV_FULL, DiskFullError, "the disk is full where the engine writes", "docker system df"),
        (
            BUILDX_BASE,
            BaseMissingError,
            f"library/python@sha256:{DIGEST} is not on this engine",
            "python -m dlmatrix bases",
        ),
        (BUILDX_NO_DAEMON, EngineError, "the Docker engine went away", "docker version"),
        (BUILDX_KILLED, EngineError, "the Docker engine went away", "docker version"),
        (BUILDX_CLOSING, EngineError, "the Docker engine went away", "docker version"),
        (RUN_CANCELED, EngineError, "the Docker engine went away", "docker version"),
        (BUILDX_FULL, DiskFullError, "the disk is full where the engine writes", "docker system df"),
        (BUILDX_READ_ONLY, DiskFullError, "the disk is read-only, or broken, where the engine writes", "dmesg"),
        (NO_BUILDX, EngineError, "the docker command has no buildx", "install"),
    ],
)
def test_a_known_failure_is_named(said: str, error: type[DlmatrixError], message: str, next_step: str) -> None:
    found = explain(said, "cpu-x", "the engine")
    assert type(found) is error
    assert found.message.startswith("cpu-x: ")
    assert message in found.message
    assert next_step in found.next_step
    assert "\n" not in found.message


@pytest.mark.parametrize("said", [UV_HASH, UV_REFUSED, UV_RESET, UV_DNS, UV_NO_VERSION, UV_FULL, UV_TORN, UV_FORBIDDEN])
def test_uv_inside_a_build_is_understood_as_uv_alone_is(said: str) -> None:
    inside = "".join(f"#8 3.141 {line}\n" for line in said.splitlines())
    inside += 'ERROR: failed to build: failed to solve: process "/bin/sh" did not complete successfully: exit code: 2\n'
    alone = explain(said, "cpu-x", "here")
    within = explain(inside, "cpu-x", "here")
    assert (type(within), str(within)) == (type(alone), str(alone))


def test_an_unknown_failure_is_shown_as_it_is() -> None:
    found = explain(BUILDX_UNKNOWN, "cpu-x", "the engine")
    assert type(found) is BuildError
    assert BUILDX_UNKNOWN.rstrip().endswith(found.message.removeprefix("cpu-x: the build failed:\n"))
    assert 'ynlqwq::u1qtbe: "/nothere": not found' in found.message
    assert len(found.message.splitlines()) == 13


@pytest.mark.parametrize("said", ["", "warning: the test of {this} timed out\nerror: {exit}"])
def test_text_that_only_resembles_a_failure_is_not_taken_for_one(said: str) -> None:
    found = explain(said, "cpu-x", "the engine")
    assert type(found) is BuildError
    assert found.message == f"cpu-x: the build failed:\n{said}"


#: Of a build whose tag was that of an image with the same layer.
VANISHED = """\
#16 ERROR: failed to prepare extraction snapshot "extract-425280509-IkXz sha256:d9c89d16": \
parent snapshot sha256:a36ec3e3 does not exist: not found
"""


@pytest.mark.parametrize(("said", "builds"), [(VANISHED, 2), (UV_HASH, 1)])
def test_a_layer_that_the_engine_deleted_meanwhile_is_made_again(
    said: str, builds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The docker command here always fails in the same way, and is called that often."""
    calls = tmp_path / "calls"
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho again >>{calls}\ncat {tmp_path / 'said'} >&2\nexit 1\n", encoding="utf-8")
    docker.chmod(0o755)
    (tmp_path / "said").write_text(said, encoding="utf-8")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DlmatrixError):
        buildx(["docker", "buildx", "build"], "cpu-torch-2.13")
    assert len(calls.read_text(encoding="utf-8").splitlines()) == builds


@pytest.mark.parametrize("said", ["", "error reading from server: EOF", "ERROR: received unexpected EOF"])
def test_a_build_that_a_signal_ended_names_it(said: str) -> None:
    error = explain(said, "cpu-x", "here", -9)
    assert (error.exit_code, error.message) == (5, "cpu-x: the build was killed by SIGKILL")


def test_a_signal_without_a_name_is_named_by_its_number() -> None:
    assert explain("", "cpu-x", "here", -40).message == "cpu-x: the build was killed by signal 40"
