"""Guides replayed in containers: what a stranger's commands can reach, and that nothing is left of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.room import File, Room
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.plan import Limits
from tests.image.support import ROOT, Dlmatrix, containers


@pytest.fixture
def room(engine: DockerEngine) -> Iterator[Room]:
    base = next(one for one in load_matrix(ROOT).bases if one.python == "3.11")
    made = Room(engine.client, engine.choose_base(base).ref, Limits(pids=200))
    made.put([File(path="/guide")])
    yield made
    made.close()


def said(room: Room, *command: str, seconds: float = 30, most: int = 1 << 20, network: bool = False) -> Any:
    return room.run(
        command, cwd="/guide", environ={"PATH": "/usr/bin:/bin"}, seconds=seconds, most=most, network=network
    )


def test_a_command_reaches_nothing_and_leaves_nothing(room: Room) -> None:
    code, out, _, why = said(
        room, "/bin/bash", "-c",
        "id -u; grep CapEff /proc/self/status; ls /sys/class/net; cut -d' ' -f5 /proc/self/mountinfo; setsid sleep 9 &",
    )  # fmt: skip
    words = out.decode().split()
    assert (code, why) == (0, "")
    assert words[:5] == ["65532", "CapEff:", "0000000000000000", "lo", "/"]
    assert not [word for word in words[5:] if not word.startswith(("/proc", "/dev", "/sys", "/etc/", "/run/secrets"))]
    assert b"sleep 9 " not in said(room, "/bin/bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")[1]
    assert said(room, "/bin/ls", "/sys/class/net", network=True)[1].split() == [b"eth0", b"lo"]
    assert said(room, "/bin/ls", "/sys/class/net")[1].split() == [b"lo"]


def test_limits_end_a_command_and_the_next_one_runs(room: Room) -> None:
    assert said(room, "/bin/sleep", "999", seconds=1)[3] == "it did not end in 1 s"
    _, out, _, why = said(room, "/usr/bin/yes")
    assert why == "it printed more than 1 MB"
    assert len(out) <= 1 << 20
    bomb = "f() { f | f & }; f; sleep 2; exit 3"
    assert said(room, "/bin/bash", "-c", bomb, seconds=10)[0] != 0
    assert said(room, "/bin/echo", "here")[:2] == (0, b"here\n")


SPY = """\
# A guide that looks around

```python
import os
print(sorted(name for name in os.environ if "PIP" in name or "THING" in name or "DLMATRIX" in name))
places = map(os.path.expanduser, ("~root/.ssh", "/var/run/docker.sock", "/run/docker.sock"))
print([one for one in places if os.path.exists(one)])
```

It prints

```
[]
[]
```
"""


def test_a_guide_in_a_container_works_and_sees_nothing_of_this_machine(
    dlmatrix: Dlmatrix, client: Any, tmp_path: Path
) -> None:
    (tmp_path / "spy.md").write_text(SPY, encoding="utf-8")
    done = dlmatrix(
        "replay", str(tmp_path / "spy.md"), "--engine", "docker", "--report", str(tmp_path / "r"), MY_THING="x"
    )
    assert done.code == 0, done.out + done.err
    data = json.loads((tmp_path / "r" / "result.json").read_text(encoding="utf-8"))
    assert (data["verdict"], data["engine"]["engine"]) == ("works", "docker")
    assert containers(client) == []


def test_a_healthy_guide_is_healthy_in_a_container_too(dlmatrix: Dlmatrix, client: Any, tmp_path: Path) -> None:
    guide = ROOT / "tests" / "guides" / "healthy-zh.rst"
    done = dlmatrix("replay", str(guide), "--engine", "docker", "--report", str(tmp_path / "r"))
    assert "verdict: works" in done.out, done.out + done.err
    assert done.code == 0
    assert containers(client) == []
