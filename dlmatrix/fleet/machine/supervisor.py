"""Runs on a machine of a fleet: starts its checks once, outlives whoever started it, and writes their end whole.

    python3 - start BASE RUN NAME ORDER     start the checks, unless they are under way or have ended
    python3 - wait BASE RUN NAME SECONDS    how they stand, once they ended or so many seconds are over
    python3 - stop BASE RUN NAME            end them

It is sent through stdin at each call, so that no file of it need be there, and needs Python 3.7 or newer and nothing
else. Each call prints one line of JSON. BASE is a folder of the user, RUN the fleet's run, NAME the machine's in it;
ORDER is JSON in base64: command ({python}, {base} and {folder} are filled in), limit in seconds, again: start over what
has no end, seen: the attempt whose end is known, so that another may be made.

The checks hold a lock, and the kernel lets go of it when they end, however they end: no lock and no end means that the
machine was restarted, or that they were killed together with this supervisor ("lost").
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

#: As dlmatrix/system/host.py has it, so that it is the ``host.id`` of the machine's result.json.
PURPOSE = b"dlmatrix report"
#: Seconds that checks have to end by themselves, once they were told to.
GRACE = 15.0
#: Bytes kept free from the start, so that the end can be written on a disk that has become full.
RESERVE = 1 << 18
#: What comes home beside the log, where it is there, also out of ``report/``.
HOME = ("result.json", "report.html", "document.json")
#: PR_SET_CHILD_SUBREAPER of prctl(2)
ADOPT = 36


def read(path: Path) -> str:
    """What a file says, its first MiB; nothing where it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20)
    except OSError:
        return ""


def record(path: Path) -> dict[str, Any]:
    """A file of JSON; empty where it is none."""
    try:
        found = json.loads(read(path))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, found: dict[str, Any]) -> None:
    """Write a file of JSON whole, on the disk itself, or leave the old one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as stream:
        json.dump(found, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def clear(folder: Path) -> None:
    """Remove what an earlier attempt wrote: none of it is the next one's."""
    for name in ("log", "ended.json", *HOME):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    shutil.rmtree(str(folder / "report"), ignore_errors=True)


def boot() -> str:
    """Which start of the kernel this is."""
    return read(Path("/proc/sys/kernel/random/boot_id")).strip()


def machine() -> str:
    """A keyed hash of the machine's id, which is confidential; empty where it has none."""
    ident = read(Path("/etc/machine-id")).strip()
    return hmac.new(ident.encode(), PURPOSE, hashlib.sha256).hexdigest()[:32] if ident else ""


def look(folder: Path, seconds: float = 0) -> dict[str, Any]:
    """How the checks stand: none, running, ended, lost; where they are running, after at most so many seconds."""
    started = record(folder / "started.json")
    found: dict[str, Any] = {"state": "none", "attempt": started.get("attempt", 0)}
    if not started:
        return found
    held = is_held(folder, seconds)
    ended = record(folder / "ended.json")  # after the lock: the end is written before it is let go
    if ended.get("attempt") == started["attempt"]:
        home = {name: packed(folder / name) for name in ended["files"]}
        return {**found, "state": "ended", "ended": ended, "machine": machine(), "home": home}
    if not held:
        return {**found, "state": "lost", "rebooted": started["boot"] != boot(), "machine": machine()}
    return {**found, "state": "running", "step": last_line(folder / "log"), "machine": machine()}


def interrupt(number: int, frame: object) -> None:
    """End what waits."""
    raise InterruptedError


def is_held(folder: Path, seconds: float) -> bool:
    """Whether the checks' lock is held, once at most so many seconds were waited for its end."""
    with (folder / "lock").open("a") as stream:
        try:
            if seconds:
                signal.signal(signal.SIGALRM, interrupt)
                signal.setitimer(signal.ITIMER_REAL, seconds)
            fcntl.flock(stream, fcntl.LOCK_SH if seconds else fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, InterruptedError):
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def last_line(log: Path) -> str:
    """What the checks said last."""
    lines = log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def packed(path: Path) -> str:
    """A file as it travels; nothing where it cannot be read, which its sum will tell."""
    with contextlib.suppress(OSError):
        return base64.b64encode(zlib.compress(path.read_bytes())).decode()
    return ""


def twin(folder: Path) -> str:
    """Another name of this very machine in this run, which came first; empty where there is none.

    The same id alone does not tell: machines that are copies of one image have one id, and never one boot.
    """
    mark = hashlib.sha256(f"{machine()} {boot()}".encode()).hexdigest()[:16]
    path = folder.with_name(f".machine-{mark}")
    try:
        with path.open("x") as stream:
            stream.write(folder.name)
    except FileExistsError:
        return read(path) if read(path) != folder.name else ""
    return ""


def start(base: Path, folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Start the checks, unless they are under way, or ended and nobody has taken their end."""
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "gate").open("a") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        first = twin(folder)
        if first:
            return {"state": "twin", "of": first, "machine": machine()}
        found = look(folder)
        stopped = order["again"] and found.get("ended", {}).get("stopped")
        again = {"none": True, "lost": order["again"], "ended": stopped or found["attempt"] <= order["seen"]}
        if not again.get(found["state"]):
            return found
        command = [word.replace("{base}", str(base)).replace("{folder}", str(folder)) for word in order["command"]]
        command = [os.path.expanduser(word.replace("{python}", sys.executable)) for word in command]
        begin(folder, found["attempt"] + 1, command, order["limit"])
        return look(folder)


def begin(folder: Path, attempt: int, command: list[str], limit: float) -> None:
    """Start what supervises the checks, and return once it holds their lock."""
    clear(folder)
    (folder / "reserve").write_bytes(b"\0" * RESERVE)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.closerange(3, tell)  # the gate's lock too, which is not to be held for as long as the checks last
        os.closerange(tell + 1, 1 << 10)
        os.setsid()
        if os.fork() == 0:
            try:
                supervise(folder, attempt, command, limit=limit, tell=tell)
            except BaseException as problem:  # noqa: BLE001 - whoever waits for it is told
                os.write(tell, str(problem).encode())
        os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    with os.fdopen(ready, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    if said != "held":
        sys.exit(said or "the checks could not be started")


def supervise(folder: Path, attempt: int, command: list[str], *, limit: float, tell: int) -> None:
    """Hold the lock, run the command to its end or its limit, and write how it ended."""
    lock = os.open(str(folder / "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # who looks holds it for a moment
    log = os.open(str(folder / "log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with open(os.devnull, "rb") as nothing:
        for number, descriptor in enumerate((nothing.fileno(), log, log)):
            os.dup2(descriptor, number)
    with contextlib.suppress(OSError, AttributeError):  # without it only the group of the checks is ended
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    began = time.time()
    # The lock is the checks' too: they are under way for as long as one of both lives.
    job = subprocess.Popen(command, cwd=str(folder), start_new_session=True, pass_fds=(lock,))
    signal.signal(signal.SIGTERM, interrupt)
    about = {"attempt": attempt, "boot": boot(), "pid": os.getpid(), "since": since(os.getpid()), "job": job.pid}
    write(folder / "started.json", about)
    os.write(tell, b"held")
    os.close(tell)
    ended: dict[str, Any] = {"attempt": attempt, "timed_out": False, "stopped": False}
    try:
        job.wait(limit)
    except (subprocess.TimeoutExpired, InterruptedError) as why:
        ended["stopped" if isinstance(why, InterruptedError) else "timed_out"] = True
        end(job)
    ended.update(exit_code=job.returncode, seconds=round(time.time() - began, 1), left=end_left(), files=home(folder))
    with contextlib.suppress(OSError):
        (folder / "reserve").unlink()
    write(folder / "ended.json", ended)


def since(pid: int) -> list[str]:
    """When a living process was started, in ticks of this boot: its number may be another's later."""
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[19:20] if fields[:1] != ["Z"] else []


def end(job: subprocess.Popen[bytes]) -> None:
    """TERM to the group of the checks, and KILL after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(job.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(GRACE)
            return


def end_left() -> int:
    """End what the checks left, which are children now; how many do not end, since they hang in the kernel."""
    until = time.monotonic() + GRACE
    while True:
        own, left = [str(os.getpid())], []
        for folder in Path("/proc").glob("[0-9]*"):
            if read(folder / "stat").rpartition(")")[2].split()[1:2] == own:
                left.append(int(folder.name))
        if not left or time.monotonic() > until:
            return len(left)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def home(folder: Path) -> dict[str, str]:
    """Bring what is to come home into one folder; the SHA-256 of each file by its name."""
    sums = {}
    for name in (*HOME, "log"):
        with contextlib.suppress(OSError):
            (folder / "report" / name).replace(folder / name)
        with contextlib.suppress(OSError):
            sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return sums


def stop(folder: Path) -> dict[str, Any]:
    """End the checks of a run here; how they stand then."""
    if look(folder)["state"] == "running":
        started = record(folder / "started.json")
        alive = since(started["pid"]) == started["since"]
        with contextlib.suppress(OSError):  # where the supervisor was killed, and the checks were not, they are ended
            act, number = (os.kill, signal.SIGTERM) if alive else (os.killpg, signal.SIGKILL)
            act(started["pid" if alive else "job"], number)
    return look(folder, 3 * GRACE)


def main(verb: str, base: str, run: str, name: str, more: str = "") -> None:
    """Carry out one call."""
    above, folder = Path(base).expanduser(), Path(base).expanduser() / "runs" / run / name
    try:
        if verb == "start":
            print(json.dumps(start(above, folder, json.loads(base64.b64decode(more)))))
        else:
            print(json.dumps(look(folder, float(more)) if verb == "wait" else stop(folder)))
    except OSError as problem:
        sys.exit(f"{problem.strerror}: {problem.filename or ''}")


if __name__ == "__main__":
    main(*sys.argv[1:])
