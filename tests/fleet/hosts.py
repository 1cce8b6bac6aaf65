"""Machines on this one: each has its own network, processes, mounts and host name, its own sshd and a /home of its own.

They are copies of one Debian tree (an overlay for each). The bridge between them lies in a network namespace of its
own, which is the controller's: nothing leaves it. Everything ends with the block, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = "openssh-server,python3-minimal,libpython3-stdlib,procps,sudo,iproute2"
_NETWORK = "198.18.7"
_BOOT = Path(__file__).with_name("boot")


def run(*command: str | Path, check: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
    """A command; what it says is told where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done


def tree(folder: Path) -> Path:
    """The Debian tree that machines are copies of; made once, in half a minute."""
    there = folder / "tree"
    if (there / ".whole").is_file() and (there / ".whole").read_text() == PACKAGES:
        return there
    shutil.rmtree(there, ignore_errors=True)
    run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}", "bookworm", there)
    for key in there.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    run("chroot", there, "useradd", "--create-home", "--shell", "/bin/bash", "lab")
    (there / "etc/ssh/sshd_config.d/lab.conf").write_text("UseDNS no\nPasswordAuthentication no\n")
    (there / ".whole").write_text(PACKAGES)
    return there


@dataclass
class Host:
    """One machine."""

    lab: Lab
    number: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"h{self.number:02d}"

    @property
    def address(self) -> str:
        return f"{_NETWORK}.{self.number + 10}"

    @property
    def space(self) -> str:
        """Its network namespace."""
        return f"{self.lab.mark}{self.name}"

    @property
    def folder(self) -> Path:
        return self.lab.folder / self.name

    @property
    def home(self) -> Path:
        """/home/lab, seen from outside."""
        return self.folder / "home" / "lab"

    def on(self) -> None:
        """Power, with the disk as it was left."""
        run("ip", "-n", self.space, "link", "set", "eth0", "up")
        command = ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork"]
        command += ["--kill-child", "sh", str(_BOOT), str(self.folder), self.name, str(self.lab.tree)]
        with (self.folder / "console").open("wb") as console:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )

    def off(self) -> None:
        """Power loss: every process dies at once, and the address no longer answers."""
        run("ip", "-n", self.space, "link", "set", "eth0", "down")
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def unplug(self) -> None:
        run("ip", "-n", self.space, "link", "set", "eth0", "down")

    def plug(self) -> None:
        run("ip", "-n", self.space, "link", "set", "eth0", "up")

    def processes(self) -> Iterator[tuple[int, str]]:
        """All of its processes but the first, with their command lines."""
        if not self.process:
            return
        first = run("pgrep", "-P", str(self.process.pid)).stdout.split()[0]
        own = os.readlink(f"/proc/{first}/ns/pid")
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.name != first and os.readlink(folder / "ns/pid") == own:
                    yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()

    def signal(self, number: int, word: str = "") -> None:
        """Send a signal to all of its processes, or to those whose command has a word."""
        for pid, command in self.processes():
            if word in command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def freeze(self) -> None:
        """Every process stops; its kernel still answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def fill(self) -> None:
        """/home is full."""
        with contextlib.suppress(OSError), (self.folder / "home" / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * (1 << 16))

    def empty(self) -> None:
        (self.folder / "home" / "filler").unlink()

    def inside(self, *command: str) -> None:
        """Run a command on it, without ssh."""
        assert self.process
        first = run("pgrep", "-P", str(self.process.pid)).stdout.split()[0]
        run("nsenter", "-t", first, "-a", "chroot", self.folder / "root", *command)


@dataclass
class Lab:
    """Machines, and the key that logs in to them."""

    folder: Path
    tree: Path
    mark: str = field(default_factory=lambda: f"dlf{os.getpid() % 100000}")
    hosts: list[Host] = field(default_factory=list)
    #: what is to be done once a moment has come
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def controller(self) -> str:
        """The network namespace that reaches them."""
        return f"{self.mark}c"

    def inventory(self, *aliases: tuple[str, str]) -> Path:
        """An inventory of all machines; ``aliases`` are further names: (name, of which machine)."""
        lines = ["lab:", "  vars:", "    ansible_user: lab", f"    ansible_ssh_private_key_file: {self.folder / 'key'}"]
        known = f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={self.folder / 'known'}"
        lines += [f"    ansible_ssh_common_args: {known}"]
        lines += ["  hosts:"]
        for host in self.hosts:
            own = self.folder / f"{host.name}.vars"
            more = f", {own.read_text()}" if own.is_file() else ""
            lines.append(f"    {host.name}: {{ansible_host: {host.address}{more}}}")
        addresses = {host.name: host.address for host in self.hosts}
        lines += [f"    {name}: {{ansible_host: {addresses[of]}}}" for name, of in aliases]
        file = self.folder / "lab.yml"
        file.write_text("\n".join(lines) + "\n")
        return file


def missing() -> Sequence[str]:
    """What this machine lacks to be a lab."""
    programs = {"mmdebstrap": "mmdebstrap", "ip": "iproute2", "ssh": "openssh-client", "pgrep": "procps"}
    found = [package for program, package in programs.items() if not shutil.which(program)]
    return [*found, *([] if os.geteuid() == 0 else ["root"])]


@contextlib.contextmanager
def lab(folder: Path, number: int, home: str = "60m") -> Iterator[Lab]:
    """So many machines, switched on; this process is where the controller is from then on."""
    made = Lab(folder=folder, tree=tree(folder.parent))
    folder.mkdir(parents=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        run("ip", "netns", "add", made.controller)
        stack.callback(run, "ip", "netns", "del", made.controller, check=False)
        for words in ("link set lo up", "link add br0 type bridge", f"addr add {_NETWORK}.1/24 dev br0"):
            run("ip", "-n", made.controller, *words.split())
        run("ip", "-n", made.controller, "link", "set", "br0", "up")
        for n in range(1, number + 1):
            stack.enter_context(_host(made, n, home))
        _wait_for_sshd(made)
        yield made


@contextlib.contextmanager
def _host(made: Lab, number: int, home: str) -> Iterator[None]:
    host = Host(made, number)
    with contextlib.ExitStack() as stack:
        for name in ("upper", "work", "root", "home"):
            (host.folder / name).mkdir(parents=True)
        shutil.copy(made.folder / "key.pub", host.folder / "authorized")
        run("mount", "-t", "tmpfs", "-o", f"size={home}", "tmpfs", host.folder / "home")
        stack.callback(run, "umount", "--lazy", host.folder / "home", check=False)
        run("ip", "netns", "add", host.space)
        stack.callback(run, "ip", "netns", "del", host.space, check=False)
        cable = ["link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", host.space]
        run("ip", "-n", made.controller, *cable)
        run("ip", "-n", made.controller, "link", "set", f"v{number}", "master", "br0", "up")
        run("ip", "-n", host.space, "addr", "add", f"{host.address}/24", "dev", "eth0")
        run("ip", "-n", host.space, "link", "set", "lo", "up")
        host.on()
        stack.callback(lambda: host.process and (host.process.kill(), host.process.wait()))
        made.hosts.append(host)
        yield


def _wait_for_sshd(made: Lab) -> None:
    """Until each machine answers; a machine of a busy processor may take a while, and one that never does is told."""
    until = time.monotonic() + 60
    for host in made.hosts:
        ask = ["ip", "netns", "exec", made.controller, sys.executable, "-c", _ASK, host.address]
        while run(*ask, check=False).returncode:
            if time.monotonic() > until:
                raise RuntimeError(f"{host.name} does not start: {(host.folder / 'console').read_text()}")
            time.sleep(0.1)


_ASK = "import socket, sys; assert socket.create_connection((sys.argv[1], 22), 1).recv(3) == b'SSH'"
