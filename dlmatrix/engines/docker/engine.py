"""The one module that talks to Docker: buildx on the command line to build, the SDK for the rest.

docker-py still builds without BuildKit, which is why building goes through the command line
(https://github.com/docker/docker-py/issues/2230).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import docker

from dlmatrix.engines.docker.address import address
from dlmatrix.engines.docker.answers import ANSWERS_WITHIN, engine_errors, first_line
from dlmatrix.engines.docker.builds import Builds
from dlmatrix.engines.docker.buildx import buildx
from dlmatrix.engines.docker.bundled import load_bundled
from dlmatrix.engines.docker.container import container_options, refuse_limits, said, with_processors
from dlmatrix.engines.docker.gpus import first_to_start, ways
from dlmatrix.engines.docker.images import Images, layers_of
from dlmatrix.engines.docker.recipe import build_command
from dlmatrix.engines.docker.relay import ANSWERS_FIRST, Relay
from dlmatrix.engines.docker.socket import locked_out
from dlmatrix.engines.docker.staging import pinned_uv
from dlmatrix.engines.docker.surroundings import refuse_surroundings
from dlmatrix.engines.docker.together import put_together
from dlmatrix.engines.docker.wheels import Workshop, own_workshop
from dlmatrix.engines.places import image_place
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import BaseMissingError, BuildError, EngineError, NoEngineError
from dlmatrix.inspection.examine import Examiner
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.model import Base, Site
from dlmatrix.matrix.plan import ChosenBase, Plan, changed_since, debian, official
from dlmatrix.system.bounded import LINE, Pieces
from dlmatrix.system.process import Say, ended_by_interrupts, signals_held
from dlmatrix.system.state import checkout_id, recall, remember
from dlmatrix.system.working import alive, labels

#: Seconds to wait for an engine to say that it is there.
_PING_SECONDS = 5
#: The supervisor inside ends a hanging framework; this is how much later the container itself is ended.
_OVERTIME_SECONDS = 60


class DockerEngine:
    """A Docker engine, near or far (``DOCKER_HOST``, ``ssh://`` included)."""

    name = "docker"
    contains = True
    builds_at_once = 2

    def __init__(self, client: Any, site: Site, bases: str) -> None:
        self.client, self._site, self._bases = client, site, bases
        self.images = Images(client)
        self._builds = Builds()

    def about(self) -> dict[str, str]:
        """The engine's version, image store and address."""
        with engine_errors():
            info, version = self.client.info(), self.client.version()
        store = dict(info.get("DriverStatus") or []).get("driver-type", "")
        return {
            "engine": "docker",
            "version": version["Version"],
            "image store": "containerd" if "containerd" in store else "classic",
            "driver": info["Driver"],
            "machine": str(info.get("Name", "")),
            "cpus": str(info["NCPU"]),
            "memory": str(info["MemTotal"]),
        }

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        """Build the image, unless one with the plan's content key, built from here, is on the engine."""
        started = time.perf_counter()
        with engine_errors():
            self.remove_killed(plan.root)
            own_workshop().cache.remove_left()
            refuse_limits(plan.limits, self.client.info())
            load_bundled(self, plan, say)
            base = self.choose_base(plan.base)
            image_id = self.up_to_date(plan, base)
        built = image_id is None
        image_id = image_id or self._build_in_turn(plan, base, say)
        with engine_errors():
            image = self.client.images.get(image_id)
        with engine_errors():
            found = self._examiner().examine(plan, base, image.id)
            layers = layers_of(image.history())
        facts: dict[str, str | int] = {"base": base.ref, "base kind": base.kind, "key": plan.key(base)}
        facts |= {**self.images.sizes(image, layers), "limits": said(plan.limits)}
        return Prepared(
            what=image.id,
            built=built,
            seconds=time.perf_counter() - started,
            facts=facts,
            layers=layers,
            checks=found.checks,
            sbom=found.sbom,
        )

    def _build_in_turn(self, plan: Plan, base: ChosenBase, say: Say) -> str:
        needed = self._needed_bytes(plan, base)
        with self._builds.turn(plan.env.name, needed, partial(self._free_bytes, base), say) as watch:
            self.build(plan, base, watch)
        if changed_since(plan):
            raise BuildError(f"{plan.env.name}: files of the checkout changed while it was built", "run it again")
        with engine_errors():
            image_id = str(self.client.images.get(plan.env.tag).id)
        key, framework = plan.key(base), plan.framework_key(base)
        remember(plan.root, "docker", plan.env.name, key=key, framework=framework, image=image_id)
        return image_id

    def up_to_date(self, plan: Plan, base: ChosenBase) -> str | None:
        """The id of the image that is what the plan describes, or None.

        A label alone can lie: the image must also be the very one that a build of this checkout left.
        """
        try:
            image = self.client.images.get(plan.env.tag)
        except docker.errors.ImageNotFound:
            return None
        known = recall(plan.root, "docker", plan.env.name)
        key = plan.key(base)
        fresh = image.labels.get("dlmatrix.key") == key == known.get("key") and known.get("image") == image.id
        return str(image.id) if fresh else None

    def choose_base(self, base: Base) -> ChosenBase:
        """The official image, or the one made from Debian packages.

        ``auto`` takes the Debian one only where it has been made and the official one is not at hand.
        """
        stand_in = self.image_id(base.debian_tag)
        if self._bases == "debian" or (self._bases == "auto" and stand_in and not self.image_id(base.image)):
            if stand_in is None:
                raise BaseMissingError(
                    f"{base.debian_tag} has not been made on this engine", "make it: python -m dlmatrix bases"
                )
            return debian(base, stand_in)
        return official(base)

    def build(
        self, plan: Plan, base: ChosenBase, say: Say, *, tag: str | None = None, workshop: Workshop | None = None
    ) -> None:
        """Build the image; the failures that have a name are raised as what they are."""
        own = workshop or own_workshop()
        with put_together(plan, base, site=self._site, images=self.images, workshop=own, say=say) as env:
            contexts = {"uv": str(pinned_uv(plan)), "env": env}
            buildx(build_command(plan, base, contexts, tag=tag, extra=own.extra), plan.env.name, say=say)
        own.cache.prune()

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        """Run the checks in a container that is always removed."""
        started = time.perf_counter()
        timed_out = threading.Event()
        with contextlib.ExitStack() as made, engine_errors():
            self.remove_leftovers(plan)
            container, stream, gpus = self._start(plan, prepared.what, made)
            start_seconds = time.perf_counter() - started
            timer = threading.Timer(plan.ends_within + _OVERTIME_SECONDS, _end, (container, timed_out))
            timer.daemon = True
            made.callback(timer.cancel)
            timer.start()
            stdout = _split(stream, say)
            ended = container.wait()
            container.reload()
            return Completed(
                exit_code=ended["StatusCode"],
                stdout=stdout,
                start_seconds=start_seconds,
                gpus=gpus,
                killed_for_memory=bool(container.attrs["State"]["OOMKilled"]),
                timed_out=timed_out.is_set(),
            )

    def _start(self, plan: Plan, image: str, made: contextlib.ExitStack) -> tuple[Any, Any, str]:
        """Start the container of the checks: itself, its output, and how it was given GPUs. ``made`` removes it."""
        info = self.client.info()
        names = {**labels(), "dlmatrix.env": plan.env.name, "dlmatrix.checkout": plan.checkout}
        # The image by its id: another checkout may move the tag meanwhile.
        limits = with_processors(plan.limits, info)
        options = container_options(replace(plan, limits=limits)) | {"image": image, "labels": names}
        found: list[Any] = []

        def start(more: Mapping[str, Any]) -> None:
            with signals_held():  # the engine may have made it before its answer is here
                container = self.client.containers.create(**options, **more)
                made.callback(_remove, container)
            made.enter_context(ended_by_interrupts(lambda number: _end(container)))
            found[:] = container, container.attach(stdout=True, stderr=True, stream=True, demux=True)
            container.start()

        gpus = first_to_start(start, ways(info, self.client.version(), plan.gpus if plan.gpu else ()))
        container, stream = found
        return container, stream, gpus

    def place(self, plan: Plan) -> Place:
        """The built image's file system, as its layers make it."""
        with engine_errors():
            image = self.client.images.get(plan.env.tag)
            base = self.choose_base(plan.base)
            seen = self._examiner().look_into(plan, base, image.id)
        return image_place(plan, seen.whole, image.attrs["Config"]["Env"] or ())

    def _examiner(self) -> Examiner:
        return Examiner(images=self.images, site=self._site, cache=own_workshop().cache)

    def remove_leftovers(self, plan: Plan) -> None:
        """Remove what a killed run of this env left, from this checkout. Whoever calls this holds the env."""
        for container in self._labelled(f"dlmatrix.env={plan.env.name}", f"dlmatrix.checkout={plan.checkout}"):
            container.remove(force=True, v=True)

    def remove_killed(self, root: Path) -> None:
        """Remove what killed runs of this checkout left of any env, or of looking into an image or a base."""
        for container in self._labelled("dlmatrix.run", f"dlmatrix.checkout={checkout_id(root)}"):
            if not alive(root, container.labels["dlmatrix.run"]):
                _remove(container)

    def _labelled(self, *labels: str) -> Any:
        return self.client.containers.list(all=True, filters={"label": list(labels)}, ignore_removed=True)

    def _needed_bytes(self, plan: Plan, base: ChosenBase) -> int:
        """The room that a build takes: none to speak of where only the checks have changed."""
        known = recall(plan.root, "docker", plan.env.name).get("framework")
        return 0 if known == plan.framework_key(base) and self.image_id(plan.env.tag) else plan.disk_bytes

    def _free_bytes(self, base: ChosenBase) -> int | None:
        """Bytes left on the engine's disk; one whose base is still to be pulled cannot be asked."""
        return self.images.free_bytes(base.ref) if self.image_id(base.ref) else None

    def image_id(self, ref: str) -> str | None:
        """The id of an image on the engine, or None."""
        try:
            return str(self.client.images.get(ref).id)
        except docker.errors.ImageNotFound:
            return None


def connect(site: Site, bases: str) -> DockerEngine:
    """Connect to the engine that the docker command would use. Raises EngineError where none answers."""
    refuse_surroundings(os.environ)
    at = address()
    relay = None if at.near else Relay()
    try:
        client = docker.DockerClient(relay.url if relay else at.host, timeout=ANSWERS_FIRST if relay else _PING_SECONDS)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        if relay:
            raise relay.failure(at) from None
        if group := locked_out(at.host):
            raise EngineError(
                f"the Docker engine on {at} is for root and the group {group}, and this user is not in it",
                f"sudo usermod -aG {group} $USER, then log in again",
            ) from None
        raise NoEngineError(
            f"no Docker engine answers on {at}", f"start one (the Docker SDK says: {first_line(error)})"
        ) from None
    client.api.timeout = ANSWERS_WITHIN
    return DockerEngine(client, site, bases)


def _split(stream: Any, say: Say) -> bytes:
    """Collect stdout; pass stderr on line by line as it comes."""
    stdout = Pieces()
    pending = b""
    for out, err in stream:
        stdout.append(out or b"")
        *lines, pending = (pending + (err or b"")).split(b"\n")
        if len(pending) > LINE:
            lines, pending = [*lines, pending], b""
        for line in lines:
            say(line.decode("utf-8", "replace"))
    if pending:
        say(pending.decode("utf-8", "replace"))
    return stdout.whole()


def _remove(container: Any) -> None:
    """Remove a container whatever is pressed meanwhile."""
    with signals_held(), contextlib.suppress(Exception):  # where the engine is gone, an error has said so
        container.remove(force=True, v=True)


def _end(container: Any, timed_out: threading.Event | None = None) -> None:
    if timed_out:
        timed_out.set()
    with contextlib.suppress(Exception):
        container.kill()
