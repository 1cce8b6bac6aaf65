"""How each machine of a lab is broken, what must be said of it, and how it is mended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fleet.hosts import Host, run

#: What a machine may be called: (state, cause).
Answers = tuple[tuple[str, str], ...]


def nothing(host: Host) -> None:
    """Neither broken nor mended."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One machine."""

    title: str
    #: before anything is begun
    before: Callable[[Host], None] = nothing
    #: once every machine that can has started its checks
    during: Callable[[Host], None] = nothing
    #: what is said of it; the second where it depends on the moment
    answers: Answers
    mend: Callable[[Host], None] = nothing
    #: what is said once it is mended and the same command was given again
    then: Answers = (("passed", ""),)
    #: whether its first state is kept beside the last
    kept: bool = True
    short: bool = False


def behaves(how: str) -> Callable[[Host], None]:
    return lambda host: (host.home / "behaves").write_text(how) and None


def variables(text: str) -> Callable[[Host], None]:
    return lambda host: (host.lab.folder / f"{host.name}.vars").write_text(text) and None


def plain(host: Host) -> None:
    (host.lab.folder / f"{host.name}.vars").unlink()


def stranger(host: Host) -> None:
    key = host.lab.folder / f"{host.name}.key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    variables(f"ansible_ssh_private_key_file: {key}")(host)


def changed_key(host: Host) -> None:
    key = host.lab.folder / f"{host.name}.hostkey"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    kind, public, *_ = key.with_suffix(".hostkey.pub").read_text().split()
    with (host.lab.folder / "known").open("a") as known:
        known.write(f"{host.address} {kind} {public}\n")


def forget_key(host: Host) -> None:
    run("ssh-keygen", "-R", host.address, "-f", host.lab.folder / "known")


def no_python(host: Host) -> None:
    host.inside("mv", "/usr/bin/python3.11", "/usr/bin/gone")


def python(host: Host) -> None:
    host.inside("mv", "/usr/bin/gone", "/usr/bin/python3.11")


def no_sshd(host: Host) -> None:
    host.signal(signal.SIGKILL, "sshd")


def sshd(host: Host) -> None:
    host.inside("/usr/sbin/sshd")


def killed(host: Host) -> None:
    host.signal(signal.SIGKILL, "python3")


def reboot(host: Host) -> None:
    host.off()
    host.on()


def cable(host: Host) -> None:
    """Out, for eight seconds: less than after which ssh gives a connection up."""
    host.unplug()
    until = time.monotonic() + 8
    host.lab.later.append((until, host.plug))


NO_ANSWER = (("unreachable", "no-answer"), ("unreachable", "no-route"))
FAULTS = (
    Fault(title="healthy", answers=(("passed", ""),), short=True, kept=False),
    Fault(title="off from the start", before=Host.off, answers=NO_ANSWER, mend=Host.on, short=True),
    Fault(title="frozen before", before=Host.freeze, answers=NO_ANSWER, mend=Host.thaw, short=True),
    Fault(title="/home is full", before=Host.fill, answers=(("unfit", "disk-full"),), mend=Host.empty, short=True),
    Fault(title="wrong key", before=stranger, answers=(("unreachable", "login-refused"),), mend=plain, short=True),
    Fault(
        title="host key changed", before=changed_key, answers=(("unreachable", "host-key-changed"),), mend=forget_key
    ),
    Fault(title="no Python", before=no_python, answers=(("unfit", "no-python"),), mend=python),
    Fault(
        title="sudo wants a password",
        before=variables("ansible_become: true"),
        answers=(("unfit", "sudo"),),
        mend=plain,
    ),
    Fault(title="power lost in the middle", during=Host.off, answers=(("gone", ""),), mend=Host.on),
    Fault(
        title="frozen in the middle",
        during=Host.freeze,
        answers=(("silent", ""), ("gone", "")),
        mend=Host.thaw,
        then=(("passed", ""), ("hung", "")),
    ),
    Fault(title="cable out for 8 s", during=cable, answers=(("passed", ""),), kept=False),
    Fault(title="sshd killed, the checks live", during=no_sshd, answers=(("gone", ""),), mend=sshd),
    Fault(title="the checks hang", before=behaves("hangs"), answers=(("hung", ""),), then=(("hung", ""),), kept=False),
    Fault(
        title="a check fails", before=behaves("failed"), answers=(("failed", ""),), then=(("failed", ""),), kept=False
    ),
    Fault(title="killed for memory, supervisor and all", during=killed, answers=(("lost", ""),)),
    Fault(title="rebooted in the middle", during=reboot, answers=(("lost", ""), ("gone", ""))),
)
