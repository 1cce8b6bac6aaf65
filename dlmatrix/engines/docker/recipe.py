"""The command that builds an env's image."""

from __future__ import annotations

from dlmatrix.engines.docker.address import builder
from dlmatrix.matrix.plan import ChosenBase, Plan


def build_command(
    plan: Plan, base: ChosenBase, contexts: dict[str, str], secrets: dict[str, str], tag: str | None = None
) -> list[str]:
    """The whole ``docker buildx build`` command. Contexts and secrets are folders and files of this machine."""
    command = ["docker", "buildx", "build", "--builder", builder(), "--progress", "plain"]
    command += ["--file", str(plan.root / "docker" / "Dockerfile"), "--provenance=false", "--sbom=false"]
    for name, value in plan.build_args(base).items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in plan.labels(base).items():
        command += ["--label", f"{name}={value}"]
    for name, value in contexts.items():
        command += ["--build-context", f"{name}={value}"]
    for name, value in secrets.items():
        command += ["--secret", f"id={name},src={value}"]
    output = f"type=image,name={tag or plan.env.tag},compression=zstd,oci-mediatypes=true"
    return [*command, "--output", output, str(plan.root)]
