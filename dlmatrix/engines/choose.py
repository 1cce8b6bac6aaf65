"""Which engine a command uses, and why."""

from __future__ import annotations

import os
from pathlib import Path

from dlmatrix.engines.protocol import Engine
from dlmatrix.errors import EngineError, NoEngineError, UsageError
from dlmatrix.matrix.site import read_site

# Only the engine in use is loaded.


def choose_engine(
    kind: str, *, bases: str = "auto", python: Path | None = None, sif: Path | None = None
) -> tuple[Engine, str]:
    """The engine and, in a few words, why it is this one.

    ``kind`` is auto, docker, apptainer, venv or host; ``bases`` are those to build on, ``python`` is the interpreter
    of host, and ``sif`` the folder of apptainer's images. Raises EngineError where the one asked for is not there.
    """
    if python is not None and kind != "host":
        raise UsageError("--python is the interpreter of --engine host", f"leave it out with --engine {kind}")
    if sif is not None and kind != "apptainer":
        raise UsageError("--sif is the folder of --engine apptainer", f"leave it out with --engine {kind}")
    if kind == "apptainer":
        return apptainer_engine(sif), "as asked"
    if kind == "host":
        from dlmatrix.engines.host import HostEngine  # noqa: PLC0415

        if python is None:
            raise UsageError("--engine host needs an interpreter", "name it: --python /path/to/bin/python")
        return HostEngine(python), f"checks {python}"
    reason = "as asked"
    if kind in ("auto", "docker"):
        try:
            from dlmatrix.engines.docker.address import Address, address  # noqa: PLC0415
            from dlmatrix.engines.docker.engine import connect  # noqa: PLC0415

            engine = connect(read_site(os.environ), bases)
            answers = "an engine answers" if address() == Address() else f"an engine answers on {address()}"
            return engine, "as asked" if kind == "docker" else answers
        except EngineError as error:
            if kind == "docker":
                raise EngineError(error.message, f"{error.next_step}; or use --engine venv") from None
            # Where somebody has named an engine, or runs one, what is to be done; else nobody has asked for one.
            reason = error.message if isinstance(error, NoEngineError) else f"{error.message}: {error.next_step}"
    return venv_engine(), reason


def apptainer_engine(sif: Path | None) -> Engine:
    """The engine that runs SIF files; those of ``sif``, else of the user's cache."""
    from dlmatrix.engines.apptainer.engine import ApptainerEngine  # noqa: PLC0415

    return ApptainerEngine(sif.absolute() if sif else sif_folder())


def sif_folder() -> Path:
    """The folder of SIF files of a user who names none."""
    from dlmatrix.layers.cache import cache_folder  # noqa: PLC0415

    return cache_folder(os.environ).with_name("sif")


def venv_engine() -> Engine:
    """The engine that makes local virtual environments."""
    import uv  # noqa: PLC0415

    from dlmatrix.engines.venv import VenvEngine  # noqa: PLC0415

    return VenvEngine(read_site(os.environ), uv.find_uv_bin())
