"""SIF files: which one is an env's image, and how it is made, once, of the image that a bundle carries.

They lie in one folder, ENV-KEY.sif, KEY being the beginning of the content key. Not the name counts but the labels,
which Apptainer takes over from the image.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shlex
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dlmatrix.engines.apptainer.kept import kept, taken
from dlmatrix.engines.apptainer.program import call, fatal
from dlmatrix.engines.failures import explain
from dlmatrix.engines.layout import Layout, bundled_layout
from dlmatrix.errors import BuildError, DiskFullError, EngineError, typed
from dlmatrix.matrix.model import Base
from dlmatrix.matrix.plan import ChosenBase, Plan, debian, official
from dlmatrix.system.process import Say, ended_by_interrupts
from dlmatrix.system.working import scratch

#: Seconds between two looks at whether another has made the file.
_EVERY = 1.0


@dataclass(frozen=True, kw_only=True)
class Sif:
    """The file of an env's image."""

    file: Path
    #: what it was built on, where the image was built
    base: ChosenBase
    built: bool
    #: the descriptor by which it is held as one in use: see ``kept.taken``
    held: int


def ready(folder: Path, plan: Plan, say: Say) -> Sif:
    """The image of a plan in this folder; where it is not there, it is made of the one in the bundle in use.

    Raises EngineError where neither is the image that the checkout describes.
    """
    others = {}
    for file in sorted(folder.glob(f"{plan.env.name}-*.sif")):
        found, why = inspected(file)
        if base := described(plan, found):
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                return Sif(file=file, base=base, built=False, held=taken(file))
            continue
        others[file.name] = why or "its labels are not those of this state of the checkout"
    layout, tag = bundled_layout(plan.root), plan.env.tag
    base = described(plan, layout.labels(tag)) if layout and tag in layout else None
    if layout is None or base is None:
        raise _none(folder, plan, others, carried=layout is not None and tag in layout)
    return _made(folder, plan, base, layout, say)


def described(plan: Plan, found: Mapping[str, str]) -> ChosenBase | None:
    """The base of an image with these labels; None where it is not the image that the plan describes.

    On which base it was built nothing here can tell but itself: the rest of its content key must be the plan's.
    """
    base = _base(plan.base, found)
    own = found.get("dlmatrix.env") == plan.env.name and found.get("dlmatrix.key") == plan.key(base)
    return base if own else None


def _base(base: Base, found: Mapping[str, str]) -> ChosenBase:
    identity = found.get("org.opencontainers.image.base.digest", "")
    return official(base) if identity == official(base).identity else debian(base, identity)


def inspected(file: Path) -> tuple[dict[str, str], str]:
    """The labels of a SIF file; none, and why, where Apptainer cannot tell them."""
    done = call("inspect", "--labels", "--json", str(file))
    if done.exit_code:
        return {}, fatal(done.said)
    try:
        found = json.loads(done.stdout)["data"]["attributes"]["labels"]
        return {str(name): str(value) for name, value in found.items()}, ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, "it has no labels"


def _made(folder: Path, plan: Plan, base: ChosenBase, layout: Layout, say: Say) -> Sif:
    """Make the file, whole or not at all; where another makes it, wait for that."""
    file = folder / f"{plan.env.name}-{plan.key(base)[:16]}.sif"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f".{file.name}.lock", say), scratch(plan.root) as staged:
        if file.exists() and described(plan, inspected(file)[0]):
            with contextlib.suppress(FileNotFoundError):
                return Sif(file=file, base=base, built=False, held=taken(file))
        for name, content in layout.files([plan.env.tag]).items():
            place = staged / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content) if isinstance(content, bytes) else place.symlink_to(content.absolute())
        aside = folder / f".{file.name}"
        try:
            _build(plan, staged, aside, say)
            held = taken(aside)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)
    _tell_of_older(folder, plan, say)
    return Sif(file=file, base=base, built=True, held=held)


def _tell_of_older(folder: Path, plan: Plan, say: Say) -> None:
    """Of each state of a checkout a file stays, since another checkout may use it."""
    found = kept(folder)
    if len([one for one in found if one.file.name.startswith(f"{plan.env.name}-")]) > 1:
        size, where = sum(one.size for one in found) / 1e9, shlex.quote(str(folder))
        told = f"{folder} has {len(found)} files, {size:.1f} GB; to remove those that are longest unused: "
        say(typed(f"{told}python -m dlmatrix cache --sif {where} --keep GB"))


def _build(plan: Plan, layout: Path, aside: Path, say: Say) -> None:
    say(f"building {aside.name[1:]}, once: minutes")
    done = call("build", "--force", "--disable-cache", str(aside), f"oci:{layout}", say=say)
    if done.exit_code == 0 and described(plan, inspected(aside)[0]):
        return
    where = f"Apptainer, in {aside.parent} and in its temporary folder,"
    cause = explain(done.said, plan.env.name, where, done.exit_code)
    if isinstance(cause, DiskFullError):
        raise DiskFullError(cause.message, "make room, or name another folder for it: APPTAINER_TMPDIR=DIR")
    why = fatal(done.said) if done.exit_code else "what it made has not the labels of the image"
    raise BuildError(
        f"{plan.env.name}: apptainer build failed: {why}", "the report's log of this env has all that it said"
    )


@contextlib.contextmanager
def _alone(lock: Path, say: Say) -> Iterator[None]:
    """Hold a lock, which the kernel lets go of when its holder ends; an interrupt ends the wait for it."""
    given_up = threading.Event()
    with lock.open("a") as file, ended_by_interrupts(lambda number: given_up.set()):
        waits = False
        while not _locked(file):
            if not waits:
                say(f"another run is making it: waiting ({lock})")
            waits = True
            if given_up.wait(_EVERY):
                raise EngineError("interrupted while another run was making the image", "run it again")
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        step = "name a folder on a file system that keeps locks: --sif DIR"
        raise EngineError(f"{file.name}: cannot be locked: {error.strerror}", step) from None
    return True


def _none(folder: Path, plan: Plan, others: Mapping[str, str], *, carried: bool) -> EngineError:
    name = plan.env.name
    what = f"no image of {name} that this checkout describes is in {folder}"
    what += "".join(f"; {file}: {why}" for file, why in others.items())
    if carried:
        what += "; that of the bundle is of another state of the checkout"
    return EngineError(
        what,
        f"where Docker is: python -m dlmatrix bundle {name} --no-wheels --out {name}.bundle; then here, once: "
        f"python -m dlmatrix run {name} --engine apptainer --sif {shlex.quote(str(folder))} --bundle {name}.bundle",
    )
