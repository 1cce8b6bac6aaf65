"""What an installation must not hold: a driver's libraries, and CUDA in a cpu env."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from dlmatrix.inspection.finding import Finding
from dlmatrix.inspection.libraries import Libraries
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.compatibility import family, is_cuda
from dlmatrix.matrix.model import Env, normal_name


def baked_driver(place: Place, libraries: Libraries) -> Iterator[Finding]:
    """Libraries of a driver, which only the host may bring."""
    for path in place.filesystem.files(place.no_driver_below):
        name = posixpath.basename(path)
        if libraries.is_driver(name):
            message = f"{path} belongs to a driver: it hides the host's own"
            yield Finding(what=name, needed_by="", wheel="", message=message)


def cpu_guard(place: Place, libraries: Libraries, env: Env) -> tuple[list[Finding], list[str]]:
    """What has no place in a cpu env: CUDA's wheels, and a framework that was built for CUDA."""
    findings = []
    for name in _distributions(place):
        if is_cuda(name):
            message = f"the distribution {name} has no place in a cpu env"
            findings.append(Finding(what=name, needed_by="", wheel="", message=message))
    built = _cuda_build(place)
    if not built:
        return findings, []
    if reason := libraries.cuda_build_reason(family(env), env.version):
        return findings, [f"a CUDA build in a cpu env: {reason}"]
    findings.append(
        Finding(what=env.series, needed_by="", wheel="", message=f"the framework is a CUDA build ({built})")
    )
    return findings, []


def _distributions(place: Place) -> Iterable[str]:
    pattern = re.compile(re.escape(place.site_packages) + r"/([^/]+?)-[^/-]+\.dist-info/METADATA")
    found = (pattern.fullmatch(path) for path in place.filesystem.files(place.site_packages))
    return sorted({normal_name(match[1]) for match in found if match})


def _cuda_build(place: Place) -> str:
    """What the framework says of itself: torch's version.py, TensorFlow's build_info.py."""
    torch = place.filesystem.text(f"{place.site_packages}/torch/version.py")
    if match := re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", torch, re.MULTILINE):
        return f"torch.version.cuda is {match[1]}"
    for package in ("tensorflow", "tensorflow_core"):
        info = place.filesystem.text(f"{place.site_packages}/{package}/python/platform/build_info.py")
        if re.search(r"is_cuda_build\W+True", info):
            return "is_cuda_build is True"
    return ""
