"""The commands that build an env's image, and what its lock has only as source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dlmatrix.engines.docker.address import builder
from dlmatrix.matrix.plan import ChosenBase, Plan


def build_command(
    plan: Plan, base: ChosenBase, contexts: Mapping[str, str], *, tag: str | None = None, extra: tuple[str, ...] = ()
) -> list[str]:
    """The whole ``docker buildx build`` command. Contexts are folders of this machine, or what BuildKit takes as one.

    The last layers are not compressed: their bytes are then the same whatever BuildKit makes them.
    """
    command = _command(plan, base, contexts, {})
    for name, value in plan.labels(base).items():
        command += ["--label", f"{name}={value}"]
    output = f"type=image,name={tag or plan.env.tag},compression=uncompressed,oci-mediatypes=true"
    return [*command, "--output", output, *extra, str(plan.root)]


def wheels_command(
    plan: Plan,
    base: ChosenBase,
    contexts: Mapping[str, str],
    secrets: Mapping[str, str],
    *,
    target: Path,
    extra: tuple[str, ...] = (),
) -> list[str]:
    """The command that builds what a lock has only as source and leaves it in a folder."""
    command = _command(plan, base, contexts, secrets)
    return [*command, "--target", "built", "--output", f"type=local,dest={target}", *extra, str(plan.root)]


def _command(plan: Plan, base: ChosenBase, contexts: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    command = ["docker", "buildx", "build", "--builder", builder(), "--progress", "plain"]
    command += ["--file", str(plan.root / "docker" / "Dockerfile"), "--provenance=false", "--sbom=false"]
    for name, value in plan.build_args(base).items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in contexts.items():
        command += ["--build-context", f"{name}={value}"]
    for name, value in secrets.items():
        command += ["--secret", f"id={name},src={value}"]
    return command
