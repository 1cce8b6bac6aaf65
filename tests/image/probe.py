"""Runs inside an image, under the options of a run, and tries what it should not be able to do.

Standard library only, Python 3.7 syntax. Prints one JSON object; nothing here decides what is right.
"""

import ctypes
import errno
import json
import os
import socket
import subprocess
import time


def attempt(call, *arguments):
    """The name of the error that an operation ends in, or "done"."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"


def write(path):
    with open(path, "w") as stream:
        stream.write("x")


def fill(path, size):
    """Reserve more than a file system has room for; nothing is written."""
    with open(path, "wb") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        finally:
            os.unlink(path)


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(address)


def status(process="self"):
    with open(f"/proc/{process}/status") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)


def setuid_program():
    """The effective user of a setuid root program that was started."""
    with subprocess.Popen(
        ["/bin/su"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as started:
        try:
            # It has its name a moment before its user: only once it waits for a password, or has given up, has it both.
            now = status(started.pid)
            while now["Name"] != "su" or now["State"][0] not in "SZ":
                time.sleep(0.001)
                now = status(started.pid)
            return int(now["Uid"].split()[1])
        finally:
            started.kill()


def processes():
    """How many more there can be at once."""
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                wait()
            children.append(child)
    except OSError:
        return len(children)
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def wait():
    while True:
        time.sleep(3600)


def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")


def main(tmp_bytes, shm_bytes):
    found = {
        "user": [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
        "write": {
            path: attempt(write, os.path.join(path, "x"))
            for path in ("/", "/etc", "/opt/venv", "/srv/smoke", "/usr/bin", "/var/tmp", "/run", "/tmp", "/dev/shm")
        },
        "proc": attempt(write, "/proc/sys/kernel/hostname"),
        "fill": {
            "/tmp": attempt(fill, "/tmp/x", tmp_bytes + 1),
            "/dev/shm": attempt(fill, "/dev/shm/x", shm_bytes + 1),
        },
        "size": {p: os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ("/tmp", "/dev/shm")},
        "interfaces": [name for _, name in socket.if_nameindex()],
        "connect": {
            "IPv4": attempt(connect, socket.AF_INET, ("192.0.2.1", 80)),
            "IPv6": attempt(connect, socket.AF_INET6, ("2001:db8::1", 80)),
            "raw": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            "name": attempt(socket.getaddrinfo, "example.org", 80),
        },
        "capabilities": {name: int(status()[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privileges": status()["NoNewPrivs"],
        "seccomp": status()["Seccomp"],
        "setuid_program": setuid_program(),
        "processes": processes(),
        # Last: who gets into another root finds nothing there.
        "gain": {
            "setuid": attempt(os.setuid, 0),
            "setgid": attempt(os.setgid, 0),
            "mount": attempt(mount),
            "nice": attempt(os.setpriority, os.PRIO_PROCESS, 0, -5),
            "chroot": attempt(os.chroot, "/tmp"),
        },
    }
    print(json.dumps(found))
