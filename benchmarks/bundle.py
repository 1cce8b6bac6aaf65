"""What a bundle costs, as ratios: python benchmarks/bundle.py BUNDLE ENV... [--rounds N] [--no-images].

BUNDLE is one of the same envs, so that everything is at hand: wheels downloaded, images built. Size is held against
the sum of its members, making against `cp` and `sha256sum` of the same files, loading (with --load IMAGE, which is
removed from the engine each time) against `docker load` of the same layout as a tar. Rounds alternate, and the median
of their ratios is told. Prints one JSON object. The time of making is that of the whole command, and, as "writing",
that of the same bytes written from files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dlmatrix.bundle.contents import Source
from dlmatrix.bundle.manifest import MANIFEST
from dlmatrix.bundle.reader import Bundle
from dlmatrix.bundle.unpack import unpack
from dlmatrix.bundle.write import write_bundle
from dlmatrix.engines.docker.bundled import Layout
from dlmatrix.engines.docker.engine import connect
from dlmatrix.matrix.site import read_site

ROOT = Path(__file__).resolve().parents[1]


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def copied(source: Path, target: Path) -> None:
    """The same bytes by cp and sha256sum."""
    subprocess.run(["cp", "-r", source, target], check=True)
    names = [str(file) for file in target.rglob("*") if file.is_file()]
    subprocess.run(
        ["xargs", "-0", "sha256sum"], input="\0".join(names), text=True, stdout=subprocess.DEVNULL, check=True
    )
    shutil.rmtree(target)


def written(unpacked: Path, bundle: Bundle, file: Path) -> None:
    """The same bytes as a bundle, from files."""
    sources = [
        Source(path=one.path, origin=one.origin, content=unpacked / one.path, size=one.size)
        for one in bundle.manifest.members
    ]
    write_bundle(file, sources, bundle.manifest, volume=None, about=0, progress=lambda done, all_of: None)
    file.unlink()


def made(options: argparse.Namespace, file: Path) -> None:
    """The whole command."""
    command = [sys.executable, "-m", "dlmatrix", "bundle", *options.envs, "--out", str(file)]
    subprocess.run([*command, *options.more], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    file.unlink()


def loading(unpacked: Path, tag: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Loading an image of the bundle against docker load of a file."""
    engine, layout = connect(read_site(os.environ), "auto"), Layout(unpacked / "bundle" / "images")
    tar = folder / "image.tar"
    made, files = folder / "layout", layout.files([tag])
    for name, content in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (made / name).write_bytes(content)
        else:
            os.link(content, made / name)
    subprocess.run(["tar", "-cf", tar, "-C", made, "."], check=True)

    def fresh() -> None:
        subprocess.run(["docker", "image", "rm", "--force", tag], capture_output=True, check=False)
        subprocess.run(["docker", "builder", "prune", "--all", "--force"], capture_output=True, check=True)

    own, plain = [], []
    for _ in range(rounds):
        fresh()
        own.append(seconds(lambda: engine.images.load(files)))
        fresh()
        plain.append(seconds(lambda: subprocess.run(["docker", "load", "--quiet", "--input", tar], check=True)))
    return ratio(own, plain)


def ratio(own: list[float], plain: list[float]) -> dict[str, Any]:
    """Times of both, and the median of their ratios."""
    ratios = [one / two for one, two in zip(own, plain, strict=True)]
    return {"seconds": own, "plain seconds": plain, "ratio": statistics.median(ratios)}


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("envs", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", metavar="IMAGE", help="dlmatrix:cpu-torch-2.13, say")
    parser.add_argument("--no-images", dest="more", action="store_const", const=["--no-images"], default=[])
    options = parser.parse_args()
    beside = options.bundle.absolute().parent
    with tempfile.TemporaryDirectory(dir=beside) as temporary, Bundle(options.bundle) as bundle:
        folder = Path(temporary)
        total = sum(member.size for member in bundle.manifest.members)
        found: dict[str, Any] = {"bytes": bundle.size, "size ratio": bundle.size / total}
        unpacked = folder / "unpacked"
        found["unpacking"] = {"seconds": seconds(lambda: unpack(bundle, unpacked))}
        (unpacked / MANIFEST).unlink()
        plain, write, whole = [], [], []
        for _ in range(options.rounds):
            plain.append(seconds(lambda: copied(unpacked, folder / "copy")))
            write.append(seconds(lambda: written(unpacked, bundle, folder / "own.bundle")))
            whole.append(seconds(lambda: made(options, folder / "made.bundle")))
        found["writing"], found["making"] = ratio(write, plain), ratio(whole, plain)
        found["peak memory of the command, bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        if options.load:
            found["loading"] = loading(unpacked, options.load, folder, options.rounds)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
