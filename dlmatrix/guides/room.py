"""A guide's world in a container: a base of the matrix, and in it what a guide's reader has.

The image stays as it is: pip's own installer, a ``sudo`` that does nothing, certificates and wheels are copied into the
container when it is there, and the site's index is told to installations alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dlmatrix.engines.docker.answers import engine_errors
from dlmatrix.engines.docker.engine import DockerEngine, connect
from dlmatrix.engines.docker.room import File, Room
from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import NetworkError, SkippedEnv, UsageError
from dlmatrix.guides.contained import MOST_OUTPUT, MOST_PROCESSES, Ended, ends_of
from dlmatrix.guides.gateway import has_password
from dlmatrix.guides.replay import Setting
from dlmatrix.guides.signs import OF_INDEX
from dlmatrix.guides.world import NoPip, World, not_made
from dlmatrix.matrix.model import Base, Site
from dlmatrix.matrix.plan import Limits
from dlmatrix.system.process import Say

#: Where everything is, inside.
FOLDER = Path("/guide")
_STDLIB = "import importlib.util as u, sysconfig as s; print(s.get_path('stdlib'), bool(u.find_spec('ensurepip')))"


class RoomWorld(World):
    """A world whose container is made with its first environment, from the base of that Python."""

    def __init__(  # noqa: PLR0917 - a world's own, and where its containers come from
        self, root: Path, site: Site, pythons: Pythons, say: Say, engine: DockerEngine, bases: Iterable[Base]
    ) -> None:
        self._engine, self._bases = engine, {base.python: base for base in bases}
        self._room: Room | None = None
        self._version = ""
        self._brought: set[str] = set()
        super().__init__(FOLDER, root=root, site=site, pythons=pythons, say=say)

    def close(self) -> None:
        """Remove the container."""
        if self._room:
            self._room.close()

    def _open(self) -> None:
        """Nothing is made before it is known for which Python."""

    def _enter(self, version: str) -> None:
        if self._room and version != self._version:
            raise SkippedEnv(
                f"the container has Python {self._version}, and the guide also wants {version}", "--engine venv"
            )
        if self._room is None:
            if version not in self._bases:
                raise SkippedEnv(f"there is no base for Python {version}: {', '.join(self._bases)}", "--engine venv")
            self._version = version
            image = self._engine.choose_base(self._bases[version]).ref
            self._room = Room(self._engine.client, image, Limits(pids=MOST_PROCESSES))
            self._room.put([*(File(path=str(place)) for place in (FOLDER, *self._places(), FOLDER / "env"))])
            self._furnish()
            if self._site.ca_bundle:
                self._put("ca.pem", self._site.ca_bundle.read_text(encoding="utf-8"))
            self._bring_installer(version)

    def _bring_installer(self, version: str) -> None:
        """Debian parts ``ensurepip`` from Python: where the base has none it is that of this machine's same Python."""
        stdlib, has = self._run(["/usr/bin/env", "python3", "-c", _STDLIB], 60).stdout.split()
        if has == "False" and self._room:
            prefix = self._python(version).resolve().parents[1]
            source = prefix / "lib" / f"python{version}" / "ensurepip"
            self._room.put(_tree(source, f"{stdlib}/ensurepip"), owner="0:0")

    def _put(self, name: str, text: str, mode: int = 0o644) -> Path:
        if self._room:
            self._room.put([File(path=str(FOLDER / name), data=text.encode(), mode=mode)])
        return FOLDER / name

    def _fill_env(self, place: Path, version: str, pip: str) -> None:
        self._enter(version)
        made = self._run(["/usr/bin/env", "python3", "-m", "venv", str(place)], 300)
        if made.exit_code == 0 and pip:
            wanted = [f"{place}/bin/python", "-m", "pip", "install", "-q", f"pip=={pip}"]
            made = self._run(wanted, 300, index=True)
            if re.search(r"from versions: (?!none)", made.stderr):
                raise NoPip(pip, version)
            if OF_INDEX.search(made.stderr):
                raise NetworkError("the package index cannot be reached", "")
        if made.exit_code != 0:
            raise not_made(self.told(made.stderr))

    def _bundle(self) -> str:
        return str(FOLDER / "ca.pem") if self._site.ca_bundle else ""

    def _links(self) -> list[str]:
        """Only the wheels that an installation is held to are copied in: a site's folder may have a hundred GB."""
        found = [wheel for wanted in self.constraints for link in self._site.find_links
                 for wheel in link.glob(f"{wanted.replace('==', '-')}-*.whl")]  # fmt: skip
        for wheel in found:
            if self._room and wheel.name not in self._brought:
                self._room.put([File(path=str(FOLDER / "links"))])
                self._room.put([File(path=str(FOLDER / "links" / wheel.name), data=wheel.read_bytes())])
                self._brought.add(wheel.name)
        return [(FOLDER / "links").as_uri()] if found else []

    def _run(self, command: list[str], timeout_seconds: float, index: bool = False) -> Ended:
        if self._room is None:
            raise SkippedEnv("the guide has no step that makes an environment", "--engine venv")
        environ = self._environ() | (self._index() if index else {})
        started = time.monotonic()
        code, out, err, why = self._room.run(
            command, cwd=str(self.home), environ=environ, seconds=timeout_seconds, most=MOST_OUTPUT, network=index
        )
        return Ended(
            exit_code=code, stdout=ends_of(out), stderr=ends_of(err), seconds=time.monotonic() - started, why=why
        )


def in_containers(setting: Setting, bases: Sequence[Base]) -> tuple[Setting, dict[str, str]]:
    """The same setting with worlds that are containers, and what the engine is. Raises EngineError without one."""
    if has_password(setting.site):
        raise UsageError(
            "this site's package index has a password, which a guide's container would be told",
            "--engine venv: there a guide is told of no password",
        )
    engine = connect(setting.site, "auto")
    with engine_errors():
        engine.remove_killed(setting.root)

    @contextlib.contextmanager
    def made() -> Iterator[World]:
        world = RoomWorld(setting.root, setting.site, setting.pythons, setting.say, engine, bases)
        with contextlib.closing(world):
            yield world

    return replace(setting, make=made), engine.about()


def _tree(source: Path, target: str) -> Iterator[File]:
    """A folder's files as they go into a container."""
    for folder, _, names in os.walk(source):
        inside = PurePosixPath(target) / Path(folder).relative_to(source).as_posix()
        yield File(path=str(inside))
        for name in sorted(names):
            if not name.endswith(".pyc"):
                yield File(path=str(inside / name), data=Path(folder, name).read_bytes())
