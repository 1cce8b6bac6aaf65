"""What is asked of an image on a Docker engine: its digests, its files, their contents, its layers."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import secrets
import shutil
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import docker
import docker.errors

from dlmatrix.document.sizes import COMPRESSED, UNPACKED
from dlmatrix.engines.docker.address import builder
from dlmatrix.engines.docker.answers import engine_errors
from dlmatrix.engines.docker.buildx import buildx
from dlmatrix.engines.docker.container import Options, command_line, confined
from dlmatrix.engines.docker.relay import reading, run_docker
from dlmatrix.engines.failures import explain
from dlmatrix.errors import BuildError, DlmatrixError, EngineError
from dlmatrix.inspection.digests import Identity, Made
from dlmatrix.layers.layout import layer_files
from dlmatrix.matrix.plan import Limits
from dlmatrix.system.process import Finished, signals_held
from dlmatrix.system.working import labels

#: The exit codes above it, and those below nothing, are of what a signal has ended.
_SIGNALLED = 128
#: How often, and after how many seconds again, a container is looked for that may still be made.
_ROUNDS, _PAUSE = 30, 0.1
#: How the history of an image calls a layer of wheels, before their names.
WHEELS = "wheels"


class Images:
    """The images of one engine."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def made_with(self) -> Made:
        """What this engine's digests depend on. BuildKit is a part of the engine, and may not know its version."""
        version = self._client.version()
        shown = self._docker("buildx", "inspect", builder()).stdout.decode()
        buildkit = re.search(r"^BuildKit version:\s*(\S+)", shown, re.MULTILINE)
        known = buildkit is not None and "unknown" not in buildkit[1]
        return Made(
            buildkit=buildkit[1] if buildkit and known else f"of Docker {version['Version']}",
            store="containerd" if self.containerd else "classic",
            platform=f"{version['Os']}/{version['Arch']}",
        )

    def identity(self, ref: str, config: str = "") -> Identity:
        """An image's digests. The engine's own id is the manifest's in the containerd store, else the config's."""
        image = self._client.images.get(ref)
        manifest = image.id if self.containerd else ""
        return Identity(manifest=manifest, config=config or ("" if manifest else image.id), layers=_layers(image))

    def below(self, prefix: str) -> dict[str, list[str]]:
        """The tags of each name that begins so."""
        found: dict[str, list[str]] = {}
        with engine_errors():
            for image in self._client.images.list(filters={"reference": f"{prefix}*"}):
                for tag in image.tags:
                    if tag.startswith(prefix):
                        found.setdefault(tag.rpartition(":")[0], []).append(tag)
        return found

    def sizes(self, image: Any, layers: Sequence[Mapping[str, str | int]]) -> dict[str, int]:
        """Its bytes on a disk, and compressed where the store keeps it so: what an engine calls its size is either."""
        found = {UNPACKED: sum(int(layer["bytes"]) for layer in layers)}
        return found | ({COMPRESSED: int(image.attrs["Size"])} if self.containerd else {})

    def remove(self, ref: str) -> None:
        """Take a name from an image, and the image with its last name. Forced, the engine takes others too."""
        try:
            self._client.images.remove(ref)
        except docker.errors.ImageNotFound:
            return
        except (docker.errors.DockerException, OSError) as error:  # a busy engine may take a minute, and more
            raise EngineError(f"{ref} was not removed: {error}", f"once it answers: docker image rm {ref}") from None

    def prune_cache(self, name: str) -> None:
        """Remove the cache mounts of a name from the builder."""
        self._docker("buildx", "prune", "--builder", builder(), "--force", "--filter", f"description~={name}")

    def export(self, ref: str, folder: Path) -> Path:
        """Write an image, its layers uncompressed, as a tar with an OCI layout."""
        file = folder / "image.tar"
        if not self.containerd:
            self._docker("save", "--output", str(file), ref)
            return file
        context = folder / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {ref}\n", encoding="utf-8")
        output = f"type=oci,dest={file},compression=uncompressed,force-compression=true"
        self._docker("buildx", "build", "--builder", builder(), "--provenance=false", "--output", output, str(context))
        return file

    @contextlib.contextmanager
    def saved(self, refs: Sequence[str]) -> Iterator[tarfile.TarFile]:
        """Images as the engine writes them: a tar, read once, with an OCI layout that has each blob once."""
        with reading(["docker", "save", *refs]) as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as tar:
                    yield tar
                while stream.read(1 << 20):  # what fills its last block
                    pass
            except tarfile.ReadError:
                pass  # docker says why

    def load(self, files: Mapping[str, Path | bytes]) -> None:
        """Give the engine the images of an OCI layout, whose files are named as they lie in it.

        A classic store takes an image only so, and whole.
        """
        inward, outward = os.pipe()
        writer = threading.Thread(target=_pack, args=(files, outward), daemon=True)
        with os.fdopen(inward, "rb") as stdin:
            writer.start()
            done = run_docker(["docker", "load", "--quiet"], stdin=stdin)
        writer.join()
        if done.exit_code != 0:
            raise explain(done.said, "docker load", "the Docker engine", done.exit_code)

    def look(self, ref: str, program: str, *arguments: str) -> bytes:
        """What a program of the image prints about its files; exit code 1 (cat: not there) is none of its errors."""
        # Root, who may read everything and do nothing else.
        how = confined(ref, arguments, Limits(), user="0:0", entrypoint=program, reads_everything=True)
        done = self._run(how)
        if done.exit_code not in (0, 1):
            raise _not_looked(done, ref, program)
        return done.stdout

    def compute(self, ref: str, python: str, program: str, *, given: IO[bytes], made: IO[bytes]) -> None:
        """Let a Python program make one file of another, run by an image's interpreter: it reaches nothing else."""
        how = confined(ref, ["-S", "-W", "ignore", "-c", program], Limits(), entrypoint=python)
        done = self._run(how, "--interactive", "--env=PYTHONHASHSEED=0", stdin=given, stdout=made)
        if done.exit_code != 0:
            raise explain(done.said, ref, _either(Path(made.name)), done.exit_code)

    def _run(self, how: Options, *more: str, **streams: Any) -> Finished:
        """Run a container that is gone afterwards.

        The engine removes what has run (--rm). A docker command that is interrupted as it makes one leaves it there.
        """
        name = f"dlmatrix-looks-{secrets.token_hex(8)}"
        named = (f"--label={label}={value}" for label, value in labels().items())
        try:
            done = run_docker(command_line(how, f"--name={name}", *more, *named), **streams)
        except KeyboardInterrupt:
            self._remove_made(name)
            raise
        if not 0 <= done.exit_code <= _SIGNALLED:
            self._remove_made(name)
        return done

    def _remove_made(self, name: str) -> None:
        """Remove a container that was asked for by a command which a signal has ended: the engine may still make it."""
        with signals_held(), contextlib.suppress(Exception):  # where the engine is gone, others say so
            for _ in range(_ROUNDS):
                try:
                    self._client.api.remove_container(name, force=True)
                    return
                except docker.errors.NotFound:
                    time.sleep(_PAUSE)

    def layers(self, ref: str, at_hand: Iterable[Path], folder: Path) -> Iterator[tuple[str, io.BufferedReader]]:
        """The layers of an image: what each is unpacked (its diff id), and its file, which may be compressed.

        Files that are at hand, named by their digests, are taken from there and do not travel; not so with a classic
        store, which writes an image whole. What else there is in it may come along, under digests that are no layer's.
        """
        if not self.containerd:
            with self.saved([ref]) as tar:
                for member in tar:
                    if content := tar.extractfile(member):
                        yield f"sha256:{member.name.rpartition('/')[2]}", cast(io.BufferedReader, content)
            return
        blobs = folder / "layout" / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for file in at_hand:
            with contextlib.suppress(OSError):  # two bases may share one; else it travels
                os.link(file, blobs / file.name)
        name = next(iter(self._client.images.get(ref).tags), ref)  # BuildKit finds none by its id
        self.base_layout(name, folder / "layout")
        for diff_id, file in layer_files(folder / "layout"):
            with file.open("rb") as stream:
                yield diff_id, stream

    def base_layout(self, ref: str, folder: Path) -> None:
        """Write an image, its layers as the engine has them, as an OCI layout; one that is not there is pulled.

        A layer whose file is in the layout already is not written again.
        """
        if not self.containerd:
            self._saved(ref, folder)
            return
        context = folder.with_name("context")
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {ref}\n", encoding="utf-8")
        command = ["docker", "buildx", "build", "--builder", builder(), "--progress", "plain", "--provenance=false"]
        command += ["--output", f"type=oci,dest={folder},tar=false", str(context)]
        buildx(command, ref, where=_either(folder))

    def _saved(self, ref: str, folder: Path) -> None:
        """The same of a classic store, which writes layouts only by this command, and only of what is there."""
        file = folder.with_name("saved.tar")
        if not self._client.images.list(ref):
            self._docker("pull", "--quiet", ref)
        self._docker("save", "--output", str(file), ref)
        (folder / "blobs" / "sha256").mkdir(parents=True)
        with tarfile.open(file) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content and re.fullmatch(r"index\.json|blobs/sha256/[0-9a-f]{64}", member.name):
                    with (folder / member.name).open("wb") as stream:
                        shutil.copyfileobj(content, stream)

    def free_bytes(self, ref: str) -> int:
        """The room on the engine's disk, as a container of an image that is there sees it."""
        return int(self.look(ref, "df", "--block-size=1", "--output=avail", "/").split()[-1])

    @functools.cached_property
    def containerd(self) -> bool:
        """Whether images are kept in containerd's store, and not in the engine's classic one."""
        return "containerd" in dict(self._client.info().get("DriverStatus") or []).get("driver-type", "")

    def _docker(self, *arguments: str) -> Finished:
        done = run_docker(["docker", *arguments])
        if done.exit_code != 0:
            raise BuildError(
                f"docker {' '.join(arguments[:2])} ended with exit code {done.exit_code}: {_last(done.said)}",
                "`docker version` and `docker info` show the engine's state",
            )
        return done


def _pack(files: Mapping[str, Path | bytes], outward: int) -> None:
    """Write files as a tar; a reader that goes away says itself why."""
    with (
        contextlib.suppress(BrokenPipeError),
        os.fdopen(outward, "wb") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
                tar.addfile(info, file)


def _either(made: Path) -> str:
    """Where a command writes that leaves a file on this machine."""
    return f"the Docker engine, or this machine in {made.parents[1]},"


def layers_of(history: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str | int], ...]:
    """What each step of an env's image added, unpacked, the base's first; empty steps left out.

    Upon the base lie the wheels, what docker/Dockerfile makes of them, and the checks.
    """
    sizes = [(" ".join(str(step["CreatedBy"]).split()), int(step["Size"])) for step in reversed(history)]
    steps = [(step, size) for step, size in sizes if size]
    holds = ["base"] * len(steps)
    first = next((n for n, (step, _) in enumerate(steps) if step.startswith(f"{WHEELS} ")), len(steps))
    if first < len(steps) and "/run/finish-env" in steps[-2][0] and steps[-1][0].startswith("COPY /out/srv "):
        holds[first:] = ["environment"] * (len(steps) - first - 1) + ["checks"]
    found = zip(steps, holds, strict=True)
    return tuple({"step": step, "bytes": size, "holds": what} for (step, size), what in found)


def _layers(image: Any) -> tuple[str, ...]:
    return tuple(image.attrs["RootFS"].get("Layers") or ())


def _not_looked(done: Finished, ref: str, program: str) -> DlmatrixError:
    """Why a look into an image failed; nothing was built, so where no cause is known it is not called a build."""
    cause = explain(done.said, ref, "the Docker engine", done.exit_code)
    if not isinstance(cause, BuildError):
        return cause
    said = next((line for line in done.said.splitlines() if line.strip()), f"{program} said nothing")
    return EngineError(
        f"could not look into {ref}: {program} ended with exit code {done.exit_code}: {said.strip()}",
        f"see whether a container of it starts: docker run --rm --entrypoint true {ref}",
    )


def _last(said: str) -> str:
    lines: Sequence[str] = said.strip().splitlines() or ["nothing said"]
    return lines[-1]
