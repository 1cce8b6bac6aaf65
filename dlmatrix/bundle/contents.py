"""What goes into a bundle, each as a member that can be read."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dlmatrix.bundle.manifest import FOLDER, MANIFEST, manifest_of
from dlmatrix.bundle.wheels import Collector, Distribution
from dlmatrix.errors import UsageError
from dlmatrix.inspection.sbom import make_sbom
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import Lock
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.checkout import DATA, installed_files
from dlmatrix.system.process import Say, in_threads

#: The Pythons that the tools are carried for: those that a machine may start a bundle with.
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: Questions to uv, and downloads, that wait for a network together.
AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Source:
    """A member to be: where its bytes are, and what is known of them."""

    path: str
    origin: str
    content: Path | bytes | Iterator[bytes] = field(repr=False)
    size: int
    executable: bool = False
    #: "" where only reading it tells
    sha256: str = ""


def checkout(root: Path, say: Say) -> tuple[list[Source], str]:
    """The files of the checkout as they are now, less links and what git ignores, and the commit they are of.

    What lies behind a link is not of the checkout. Of an unpacked bundle, the files that it came with; of an installed
    package, what it has of one.
    """
    if root == DATA:
        return [_of_checkout(name, file) for name, file in installed_files().items()], "none: an installed package"
    new: set[str] = set()
    links: list[str] = []
    if (root / ".git").exists():
        new = set(filter(None, _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")))
        names = sorted({*filter(None, _git(root, "ls-files", "-z").split("\0")), *new})
        links = [name for name in names if (root / name).is_symlink()]
        commit = _git(root, "rev-parse", "HEAD").strip()
        changed = new - {*links} or _git(root, "status", "--porcelain", "--untracked-files=no")
        commit += " and changes" if changed else ""
    elif (root / MANIFEST).is_file():
        manifest = manifest_of(root / MANIFEST)
        names = [member.path for member in manifest.members if not member.path.startswith(f"{FOLDER}/")]
        commit = manifest.versions.get("commit", "")
    else:
        raise UsageError(f"{root} is no checkout, and a bundle carries one", "run it in a clone, or an unpacked bundle")
    if links:
        say(f"links are left out: {', '.join(links)}")
    found, place = [], root.resolve()
    for name in names:
        file = root / name
        if file.is_file() and file.resolve() == place / name:
            if name in new:
                say(f"git does not know this file yet, and it goes with the others: {name}")
            found.append(_of_checkout(name, file))
    return found, commit


def _of_checkout(name: str, file: Path) -> Source:
    stat = file.stat()
    executable = bool(stat.st_mode & 0o100)
    return Source(path=name, origin="checkout", content=file, size=stat.st_size, executable=executable)


def distributions(plans: Sequence[Plan], collector: Collector, pythons: Iterable[str]) -> dict[Distribution, list[str]]:
    """Every file that the locks of envs and of the tools ask for, each once, and the locks that do."""
    root = plans[0].root
    wanted = [(plan.lock, [plan.env.python]) for plan in plans]
    for plan in plans:
        if plan.build_lock:
            wanted.append((read_lock(plan.build_lock, f"nox -s lock -- {plan.env.name} --write"), [plan.env.python]))
    tools = read_lock(root / "envs" / "locks" / "tools.txt", "nox -s lock -- tools --write")
    wanted.append((tools, list(pythons)))
    return of_locks([(lock, python) for lock, versions in wanted for python in versions], collector)


def of_locks(asked: Sequence[tuple[Lock, str]], collector: Collector) -> dict[Distribution, list[str]]:
    """Every file that locks ask for, each lock for a Python, and the names of the locks that do."""
    answers: dict[int, list[Distribution]] = {}

    def ask(number: int) -> None:
        answers[number] = collector.files(*asked[number])

    in_threads([partial(ask, number) for number in range(len(asked))], AT_ONCE)
    found: dict[Distribution, list[str]] = {}
    for number, (lock, _) in enumerate(asked):
        for one in answers[number]:
            locks = found.setdefault(one, [])
            if lock.file.stem not in locks:
                locks.append(lock.file.stem)
    return found


def brought(found: Collection[Distribution], collector: Collector) -> dict[str, Path]:
    """The files on this machine, by their names."""
    here: dict[str, Path] = {}

    def bring(one: Distribution, number: int) -> None:
        here[one.name] = collector.bring(one, f"{number} of {len(found)}")

    jobs = [partial(bring, one, number) for number, one in enumerate(found, 1)]
    in_threads(jobs, AT_ONCE, stopping=collector.stopped.set)
    return {one.name: here[one.name] for one in found}


def wheels(found: Mapping[Distribution, Sequence[str]], collector: Collector) -> list[Source]:
    """The same as members, once they are here."""
    here, sources = brought(found, collector), []
    for one, locks in found.items():
        path, origin, file = f"{FOLDER}/wheels/{one.name}", f"locks {' '.join(locks)}", here[one.name]
        sources.append(Source(path=path, origin=origin, content=file, size=file.stat().st_size, sha256=one.sha256))
    return sources


def bills(plans: Iterable[Plan], images: Mapping[str, str]) -> list[Source]:
    """A bill of materials for each env: that of its image, else of what its lock installs."""
    sources = []
    for plan in plans:
        paths = [f"/site-packages/{entry.name}-{entry.version}.dist-info" for entry in plan.lock.entries]
        text = (images.get(plan.env.name) or make_sbom(plan, f"sha256:{plan.lock.sha256}", paths, "")).encode()
        path = f"{FOLDER}/sboms/{plan.env.name}.cdx.json"
        sources.append(Source(path=path, origin=f"lock {plan.env.name}", content=text, size=len(text)))
    return sources


def facts(plans: Iterable[Plan], images: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What the manifest says of each env."""
    return {
        plan.env.name: {
            "python": plan.env.python,
            "framework": plan.env.requirements[0],
            "lock": plan.lock.sha256,
            **images.get(plan.env.name, {}),
        }
        for plan in plans
    }


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip()}", "see `git status`")
    return done.stdout.decode("utf-8", "surrogateescape")
