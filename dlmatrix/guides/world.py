"""A clean world for a guide: an empty home, a Python of its own, a shell whose state is carried from step to step."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.version import Version

from dlmatrix.engines.failures import explain
from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import BuildError, DlmatrixError, SkippedEnv
from dlmatrix.guides.contained import Ended, Surroundings, run_contained
from dlmatrix.guides.jail import NOBODY
from dlmatrix.matrix.model import Site, normal_name
from dlmatrix.matrix.site import index_config, uv_environment
from dlmatrix.system.process import Say, run_lines

#: The newest pip of each old Python: what conda brings with it. Source: the Requires-Python of pip's releases.
CONDA_PIP = {"3.6": "21.3.1", "3.7": "24.0", "3.8": "25.0.1"}
_STEP = """\
declare -px >{state}/given
shopt -s expand_aliases
{{ source {state}/shell; cd "$(cat {state}/cwd)"; }} 2>/dev/null
while read -r one; do pushd -n "$one"; done < <(tail -n +2 {state}/dirs | tac) >/dev/null 2>&1; unset one
trap {kept} EXIT
{command}
"""
#: What the world itself gave is no state: a password that one step is given is not for the next.
_KEPT = """\
code=$?; {{ declare -p | grep -vxF -f {state}/given | sed -E "/^declare -[a-zA-Z]*r/d"; declare -f; alias -p
}} >{state}/new 2>/dev/null
rm -f {state}/given; mv {state}/new {state}/shell; pwd >{state}/cwd; dirs -l -p >{state}/dirs; exit $code"""
_SUDO = """\
#!/bin/sh
while :; do case "$1" in -u|-g) shift 2;; -*) shift;; *=*) export "$1"; shift;; *) break;; esac; done
exec "$@"
"""


class NoPip(SkippedEnv):
    """The index has no such pip for this Python."""

    def __init__(self, pip: str, python: str) -> None:
        named = f"no pip {pip}" if pip else "no pip"
        super().__init__(f"the index has {named} for Python {python}", "name one that it has with --pip")


class World:
    """A folder in which a guide's steps are run; nothing of them reaches beyond it."""

    def __init__(self, folder: Path, *, root: Path, site: Site, pythons: Pythons, say: Say) -> None:
        self.folder = folder
        self._root, self._site, self._pythons, self._say = root, site, pythons, say
        self._state, self.home = folder / "state", folder / "home"
        self._readable: list[Path] = []
        self._count = 0
        #: requirements that every installation is held to, such as a build without CUDA
        self.constraints: list[str] = []
        #: environments by name, each with its Python
        self.envs: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        """Make the folders in which everything happens."""
        for place in self._places():
            place.mkdir(parents=True)
        self._furnish()
        if os.getuid() == 0:
            self.folder.chmod(0o755)
            for place in (self.folder, *self.folder.iterdir(), *self._state.iterdir()):
                os.chown(place, NOBODY, NOBODY)

    def _places(self) -> tuple[Path, ...]:
        return (self._state, self.home, *(self.folder / name for name in ("bin", "programs", "tmp")))

    def _furnish(self) -> None:
        self._put("session.py", Path(__file__).with_name("session.py").read_text(encoding="utf-8"))
        self._put("bin/sudo", _SUDO, mode=0o755)
        self._put("state/cwd", f"{self.home}\n")

    def _put(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file that the world can read, whatever the umask is."""
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        return file

    def _env_folder(self, name: str) -> Path:
        """Where an environment is; a guide may name one by a path, and conda by any."""
        return self.folder / "env" / re.sub(r"\W", "_", name)

    def make_env(self, name: str, version: str, pip: str) -> None:
        """A virtual environment of a Python, with the pip that this Python brings or the one named, and go into it.

        Raises SkippedEnv where this machine has no such Python or cannot make one, NoPip where the index has no such
        pip, and what the engines raise where no index answers or the disk is full.
        """
        if name in self.envs:
            return
        self._fill_env(self._env_folder(name), version, pip)
        self.envs[name] = version
        self.activate(name)

    def _fill_env(self, place: Path, version: str, pip: str) -> None:
        python = self._python(version)
        bundled = _newest(python.resolve().parents[1].glob(f"lib/python{version}/ensurepip/_bundled/*.whl"))
        self._uv("venv", "--python", str(python), str(place))
        if pip or not bundled:
            wanted = (f"pip=={pip}" if pip else "pip", "setuptools")
            self._uv("pip", "install", "--python", f"{place}/bin/python", *wanted, none=NoPip(pip, version))
        else:
            self._uv("pip", "install", "--python", f"{place}/bin/python", "--no-index", "--no-deps", *bundled)
        if os.getuid() == 0:
            for one in (self.folder / "env", place, *place.rglob("*")):
                os.chown(one, NOBODY, NOBODY, follow_symlinks=False)

    def _uv(self, *words: str, none: DlmatrixError | None = None) -> None:
        """Have uv make or fill an environment, before anything of the guide is in it.

        ``none`` is what to raise where the index answers and has nothing that fits.
        """
        config = self.folder.with_name(f"{self.folder.name}.toml")
        config.write_text(index_config(self._site), encoding="utf-8")
        command = [self._pythons.uv, "--config-file", str(config), "--no-progress", *words]
        done = run_lines(command, say=lambda line: None, environ=uv_environment(self._site, os.environ))
        config.unlink()
        if done.exit_code == 0:
            return
        if none and re.search("no solution found", done.said, re.I):
            raise none
        error = explain(done.said, "the guide's environment", str(self.folder), done.exit_code)
        raise not_made(done.said) if isinstance(error, BuildError) else error

    def activate(self, name: str) -> None:
        """Go into an environment that ``make_env`` made, as ``activate`` does."""
        place = shlex.quote(str(self._env_folder(name)))
        self.shell(
            f"export VIRTUAL_ENV={place} CONDA_DEFAULT_ENV={shlex.quote(name)} PATH={place}/bin:$PATH; hash -r", 30
        )

    def shell(self, command: str, timeout_seconds: float, index: bool = False) -> Ended:
        """Run a command where the one before ended; ``index`` gives it the site's package index."""
        self._count += 1
        state = shlex.quote(str(self._state))
        kept = shlex.quote(_KEPT.format(state=state))
        file = self._put(f"programs/step-{self._count}.sh", _STEP.format(state=state, kept=kept, command=command))
        return self._run(["/bin/bash", "--noprofile", "--norc", str(file)], timeout_seconds, index)

    def program(self, text: str, timeout_seconds: float) -> Ended:
        """Run a program as a file."""
        self._count += 1
        file = self._put(f"programs/program-{self._count}.py", text + "\n")
        return self.shell(f"python {shlex.quote(str(file))}", timeout_seconds)

    def session(self, pieces: Sequence[dict[str, str]], timeout_seconds: float) -> Ended:
        """Run pieces of one program in one scope: see ``session.py``."""
        self._count += 1
        file = self._put(f"programs/session-{self._count}.json", json.dumps(list(pieces)))
        runner = shlex.quote(str(self.folder / "session.py"))
        return self.shell(f"python {runner} {shlex.quote(str(file))}", timeout_seconds)

    def installed(self) -> dict[str, str]:
        """The distributions of the environment that the shell is in, by their names as indexes compare them."""
        done = self.shell("python -m pip list --format=json --disable-pip-version-check", 120)
        try:
            return {normal_name(str(one["name"])): str(one["version"]) for one in json.loads(done.stdout)}
        except (ValueError, KeyError, TypeError):
            return {}

    def told(self, text: str) -> str:
        """What a step said, less the names that only this world has, and the passwords of this site."""
        text = re.sub(r"\x1b\[[\d;]*m", "", text)  # colours
        for url in (self._site.index, *self._site.extra_indexes, *self._site.proxies.values()):
            if url and (secret := urlsplit(url).password):
                text = text.replace(secret, "****").replace(unquote(secret), "****")
        text = re.sub(rf"{re.escape(str(self.folder))}/programs/(?:step|program|session)-\d+\.(?:sh|py)", "guide", text)
        return text.replace(str(self.home), "~").replace(str(self.folder), "…")

    def _python(self, version: str) -> Path:
        python = self._pythons.find(self._root, version)
        why = "" if python else self._pythons.bring(self._root, version, self._say)
        python = python or self._pythons.find(self._root, version)
        if python is None:
            raise SkippedEnv(
                f"Python {version} is not on this machine, and uv could not bring it: {why}",
                f"install it (pyenv install {version}), or name another with --python",
            )
        prefix = python.resolve().parents[1]
        if str(prefix) not in ("/usr", "/usr/local") and prefix not in self._readable:
            self._readable.append(prefix)
        return python

    def _run(self, command: list[str], timeout_seconds: float, index: bool = False) -> Ended:
        links = self._site.find_links if index else ()
        # They may lie in a home, which is hidden.
        certificates = (self._site.ca_bundle,) if self._site.ca_bundle else ()
        around = Surroundings(
            writable=(self.folder,),
            readable=(*self._readable, *(one.resolve() for one in (*links, *certificates))),
            hidden=(self._root,),
        )
        environ = self._environ() | (self._index() if index else {})
        return run_contained(command, cwd=self.home, environ=environ, around=around, timeout_seconds=timeout_seconds)

    def _bundle(self) -> str:
        """Where the site's certificates are seen; empty where it has none."""
        return str(self._site.ca_bundle.resolve()) if self._site.ca_bundle else ""

    def _links(self) -> list[str]:
        """The folders of wheels that installations may take from. pip takes paths apart at blanks, which no URL has."""
        return [link.resolve().as_uri() for link in self._site.find_links]

    def _environ(self) -> dict[str, str]:
        certificates = {"SSL_CERT_FILE": bundle} if (bundle := self._bundle()) else {}
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "MPLBACKEND": "Agg",
            **certificates,
            # A proxy's password is for installations, as an index's is.
            **{name: re.sub(r"//[^/@]*@", "//", value) for name, value in self._site.proxies.items()},
        }

    def _index(self) -> dict[str, str]:
        """What pip is told of this site, for the steps that ask an index and for no other."""
        found = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_RETRIES": "1",
            "PIP_DEFAULT_TIMEOUT": "30",
            "PIP_CACHE_DIR": str(self.folder / "tmp" / "cache"),
            **self._site.proxies,
        }
        if self._site.index:
            found["PIP_INDEX_URL"] = self._site.index
        if self._site.extra_indexes:
            found["PIP_EXTRA_INDEX_URL"] = " ".join(self._site.extra_indexes)
        if links := self._links():
            found["PIP_FIND_LINKS"] = " ".join(links)
        if bundle := self._bundle():
            found |= {"PIP_CERT": bundle, "REQUESTS_CA_BUNDLE": bundle}
        if self.constraints:
            found["PIP_CONSTRAINT"] = self._put("constraints.txt", "\n".join(self.constraints) + "\n").as_uri()
        return found


def not_made(said: str) -> SkippedEnv:
    """A world that this machine does not make, which says nothing of the guide."""
    return SkippedEnv(
        f"the guide's environment could not be made: {said.strip()[-300:]}", "mend what it says, then run it again"
    )


def _newest(wheels: Iterable[Path]) -> list[str]:
    """The newest wheel of each project: a Python that was updated may have two."""
    best: dict[str, Path] = {}
    for wheel in sorted(wheels, key=lambda one: Version(one.name.split("-")[1])):
        best[wheel.name.split("-")[0]] = wheel
    return list(map(str, best.values()))
