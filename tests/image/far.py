"""A machine that is reached by ssh alone: sshd in a network namespace, keys and known hosts in a folder of a test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_CONFIG = """\
ListenAddress {far}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment yes

"""
#: The ssh of a user whose settings are in the folder: ssh itself goes by the home of the password file, not by HOME.
_SSH = '#!/bin/sh\nexec {ssh} -F "{folder}/config" "$@"\n'
_CLIENT = """\
IdentityFile {folder}/{key}
IdentitiesOnly yes
UserKnownHostsFile {folder}/{known}
GlobalKnownHostsFile /dev/null
LogLevel ERROR
"""


@dataclass(frozen=True)
class Far:
    """The machine, and the user's side of it."""

    folder: Path
    address: str

    def environ(self, *, key: str = "good", known: str = "known") -> dict[str, str]:
        """The variables of a shell whose ssh has this key, and knows these hosts."""
        (self.folder / "config").write_text(_CLIENT.format(folder=self.folder, key=key, known=known))
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "DOCKER_HOST": f"ssh://root@{self.address}"}


@contextlib.contextmanager
def machine(folder: Path, engine: str) -> Iterator[Far]:
    """Start it; ``engine`` is the engine's socket, as DOCKER_HOST, for whoever is logged in there."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if os.geteuid() or not sshd or not shutil.which("ip"):
        pytest.skip("a far machine needs root, ip and sshd (apt-get install iproute2 openssh-server)")
    first = (os.getpid() & 0x3FFF) << 2  # of the addresses that are for trials, 198.18.0.0/15
    near, far = (f"198.18.{first + n >> 8}.{first + n & 0xFF}" for n in (1, 2))
    name = f"dlm{os.getpid()}"
    _keys(folder, far)
    (folder / "sshd_config").write_text(_CONFIG.format(far=far, folder=folder))
    path = f"{Path(str(shutil.which('docker'))).parent}:/usr/bin:/bin"
    logins = {
        "good": {"PATH": path, "DOCKER_HOST": engine},
        "dockerless": {"PATH": "/usr/sbin"},
        "engineless": {"PATH": path, "DOCKER_HOST": f"unix://{folder}/none.sock"},
    }
    with (folder / "authorized").open("w") as file:
        for key, environ in logins.items():
            options = ",".join(f'environment="{name}={value}"' for name, value in environ.items())
            file.write(f"{options} {(folder / f'{key}.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "del", name)
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        stack.callback(subprocess.run, ["ip", "link", "del", name], capture_output=True, check=False)
        _run("ip", "address", "add", f"{near}/30", "dev", name)
        _run("ip", "link", "set", name, "up")
        _run("ip", "-n", name, "address", "add", f"{far}/30", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        server = stack.enter_context(
            subprocess.Popen(
                ["ip", "netns", "exec", name, sshd, "-D", "-e", "-f", str(folder / "sshd_config")],
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(server.terminate)
        assert server.stderr
        said = iter(server.stderr.readline, "")
        assert any("listening on" in line for line in said), "sshd has not started"
        yield Far(folder, far)


def _keys(folder: Path, far: str) -> None:
    for key, passphrase in (
        *((key, "") for key in ("host", "other-host", "good", "stranger", "dockerless", "engineless")),
        ("locked", "secret"),
    ):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(folder / key))
    for name, key in (("known", "host"), ("changed", "other-host")):
        (folder / name).write_text(f"{far} {(folder / f'{key}.pub').read_text()}")
    (folder / "nobody").touch()
    (folder / "bin").mkdir()
    ssh = folder / "bin" / "ssh"
    ssh.write_text(_SSH.format(ssh=shutil.which("ssh"), folder=folder))
    ssh.chmod(0o755)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
