"""Lets a run use a bundle: its wheels and its images, for the checkout's own envs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dlmatrix.bundle.reader import Bundle
from dlmatrix.bundle.signature import check
from dlmatrix.bundle.start import tenths
from dlmatrix.bundle.unpack import holds, unpack
from dlmatrix.bundle.volumes import base_of
from dlmatrix.errors import BundleError, UsageError
from dlmatrix.inspection.digests import Identity, Made, Record
from dlmatrix.matrix.load import lock_of
from dlmatrix.matrix.model import Env, Matrix
from dlmatrix.system.checkout import BUNDLE_VARIABLE
from dlmatrix.system.process import Say
from dlmatrix.system.state import state_dir


def use_bundle(
    matrix: Matrix, file: Path, envs: Iterable[Env], say: Say, key: Path | None = None
) -> Mapping[str, Record]:
    """Unpack what a bundle has beside its checkout, once, and let this process use it; returns its images' digests.

    Raises UsageError for an env that it has not, or has by another lock than the checkout, and BundleError where it is
    not signed by the owner of ``key``.
    """
    with Bundle(file) as bundle:
        for env in envs:
            facts = bundle.manifest.envs.get(env.name)
            if facts is None:
                raise UsageError(f"{file}: has no {env.name}", f"it has {', '.join(bundle.manifest.envs)}")
            if facts.get("lock") != lock_of(matrix, env).sha256:
                raise UsageError(
                    f"{file}: has {env.name} by another lock than this checkout",
                    f"use the checkout that it carries: python -m dlmatrix unbundle {file}",
                )
        say(check(bundle.signed, base_of(file), key))
        name = hashlib.sha256(bundle.signed).hexdigest()[:16]
        folder = state_dir(matrix.root) / "bundles" / name
        if not holds(folder, bundle):
            say(f"unpacking {bundle.size / 1e6:,.0f} MB to {folder}")
            unpack(bundle, folder, tenths(say), checkout=False)
        os.environ[BUNDLE_VARIABLE] = str(folder)
        return {
            name: _record(file, facts["record"]) for name, facts in bundle.manifest.envs.items() if "record" in facts
        }


def _record(file: Path, text: str) -> Record:
    try:
        found = json.loads(text)
        identity = Identity(**{**found["identity"], "layers": tuple(found["identity"]["layers"])})
        return Record(identity=identity, made=Made(**found["made"]), inputs=dict(found["inputs"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{file}: what it says of its images is not understood: {error}") from None
