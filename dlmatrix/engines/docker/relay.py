"""An engine that is no socket of this machine, reached as the docker command reaches it: by ssh, TCP or TLS.

The SDK's own way by ssh needs paramiko, which knows neither ssh's agents and jumps nor all of its configuration.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO, cast

from dlmatrix.engines.docker.address import Address, without_password
from dlmatrix.errors import EngineError
from dlmatrix.system import process

#: Seconds in which a far engine has to answer first: ssh, as the docker command calls it, has 30 to connect.
ANSWERS_FIRST = 40
#: Characters of what a connection's command said that are kept.
_KEPT = 4000

#: What the docker command, ssh and the other side say; the first that fits is told. What stands in ssh's own
#: text after a key's name may be anything, so what decides stands in words that no machine is called by.
_SIGNS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {machine} is not the one that ssh knows it by",
        "ask whose key it is; if {machine} has a new one: ssh-keygen -R {machine}, then: ssh {login} true",
    ),
    (
        r"Host key verification failed",
        "ssh does not know the host key of {machine}, and nobody is here to be asked",
        "look at it and accept it once: ssh {login} true",
    ),
    (
        r"Permission denied \(|Too many authentication failures|no mutual signature",
        "{machine} lets nobody in with the keys that ssh has without asking",
        "let your key in: ssh-copy-id {login}; where it has a passphrase: ssh-add; `ssh -o BatchMode=yes {login} true`"
        " must work",
    ),
    (
        r"docker: (command )?not found|docker: No such file",
        "there is no docker command on {machine}",
        "install Docker there; `ssh {login} docker version` must answer",
    ),
    (
        r'exec: "ssh": executable file not found',
        "there is no ssh command on the PATH",
        "install it: openssh-client",
    ),
    (
        r"ssh: (?P<what>[^\n]+)",
        "ssh does not reach {machine}: {what}",
        "`ssh {login} true` must work",
    ),
    (
        r"dial unix \S+: connect: permission denied|permission denied while trying to connect",
        "the Docker engine on {machine} is not for the user who logs in there",
        "there: sudo usermod -aG docker $USER; then `ssh {login} docker version` must answer",
    ),
    (
        r"stderr=.*(?P<what>dial unix [^\n]+)",
        "the docker command on {machine} finds no engine: {what}",
        "start one there; `ssh {login} docker version` must answer",
    ),
    (
        r"(?P<what>(x509|tls): [^\n]+|unable to resolve docker endpoint: [^\n]*\.pem[^\n]*)",
        "no TLS with the Docker engine on {address}: {what}",
        "see DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or `docker context inspect`; `docker version` must answer",
    ),
)


def docker_missing() -> EngineError:
    """The error of a machine without the docker command."""
    return EngineError(
        "there is no docker command on the PATH",
        "install it with buildx: docker-cli and docker-buildx, or Docker's own docker-ce-cli and docker-buildx-plugin",
    )


def run_docker(
    command: Sequence[str],
    *,
    say: process.Say = lambda line: None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | None = None,
) -> process.Finished:
    """Run a command of docker's. Raises EngineError where there is none."""
    try:
        return process.run_lines(command, say=say, environ=os.environ, stdin=stdin, stdout=stdout)
    except FileNotFoundError:
        raise docker_missing() from None


@contextlib.contextmanager
def reading(command: Sequence[str]) -> Iterator[IO[bytes]]:
    """The stdout of a command of docker's, as it comes. Raises EngineError where the command fails, or is not there.

    What is not read is not waited for: the command is ended with the block.
    """
    with tempfile.TemporaryFile() as said:
        try:
            started = subprocess.Popen(
                list(command), stdout=subprocess.PIPE, stderr=said, env={**os.environ, **process.marks}
            )
        except FileNotFoundError:
            raise docker_missing() from None
        with started:
            try:
                yield cast(IO[bytes], started.stdout)
                code = started.wait()
            except BaseException:
                started.kill()
                raise
        if code:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            raise EngineError(f"{' '.join(command[:2])}: {last[-1]}", "`docker info` shows the engine's state")


class Relay:
    """A socket behind which each connection is one of the docker command's own to its engine."""

    def __init__(self) -> None:
        if not shutil.which("docker"):
            raise docker_missing()
        self._said = ""
        self._server = socket.socket(socket.AF_UNIX)
        with tempfile.TemporaryDirectory(prefix="dlmatrix-") as folder:
            place = os.open(folder, os.O_PATH)
            file = f"/proc/self/fd/{place}/docker.sock"  # the folder's own name may be too long for a socket's
            self._server.bind(file)
            self._server.listen()
            # It is found by this without its name, so that no name is left behind, however this ends.
            self._handle = os.open(file, os.O_PATH)
            os.close(place)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """Where this process finds it, as a base URL of the Docker SDK."""
        return f"unix:///proc/self/fd/{self._handle}"

    def failure(self, address: Address) -> EngineError:
        """Why no engine answered."""
        return why(self._said, address)

    def _serve(self) -> None:
        while True:
            near, _ = self._server.accept()
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        """Let the docker command talk through a connection until either side ends it."""
        # A session of its own has no terminal for ssh to ask on, and an interrupt of ours does not end it.
        # A file, since ssh's master process, where it has one, keeps a pipe open.
        with near, tempfile.TemporaryFile() as said:
            done = subprocess.run(
                ["docker", "system", "dial-stdio"],
                stdin=near.fileno(),
                stdout=near.fileno(),
                stderr=said.fileno(),
                env={**os.environ, **process.marks, "SSH_ASKPASS_REQUIRE": "never"},
                start_new_session=True,
                check=False,
            )
            if done.returncode:
                said.seek(0)
                self._said = said.read(_KEPT).decode("utf-8", "replace").replace("\r", "")


def why(said: str, address: Address) -> EngineError:
    """What the docker command said of an engine that it does not reach, as an error with a next step."""
    names = {"machine": address.machine, "login": address.login, "address": str(address)}
    said = without_password(said)  # the docker command shows it
    for pattern, message, next_step in _SIGNS:
        if found := re.search(pattern, said):
            names |= found.groupdict()
            return EngineError(message.format(**names), next_step.format(**names))
    *_, last = [line for line in said.splitlines() if line.strip()] or [f"no answer within {ANSWERS_FIRST} s"]
    return EngineError(f"no Docker engine answers on {address}: {last}", "`docker version` must answer")
