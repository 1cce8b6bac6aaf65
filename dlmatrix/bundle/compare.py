"""Holds a bundle against a checkout: what is still the same, in a year."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from dlmatrix.bundle.manifest import FOLDER, Manifest
from dlmatrix.system.checkout import DATA, installed_files
from dlmatrix.system.files import sha256

#: Files that are named before the rest is counted.
_NAMED = 8


def differences(root: Path, manifest: Manifest) -> tuple[list[str], bool]:
    """What is the same in a checkout as in a bundle and what is not, in lines; and whether all is."""
    lines, same = [], True
    for name, facts in manifest.envs.items():
        lock = root / "envs" / "locks" / f"{name}.txt"
        found = sha256(lock) if lock.is_file() else ""
        word = "the same lock" if found == facts["lock"] else "another lock" if found else "no such env here"
        lines.append(f"{name}: {word}")
        same &= found == facts["lock"]
    changed, missing = [], []
    carried = [member for member in manifest.members if not member.path.startswith(f"{FOLDER}/")]
    own: dict[str, Path] = {}
    if root == DATA:
        # Tests and documents are in no installed package: it differs by none that the bundle has.
        own = installed_files()
        tops = {path.partition("/")[0] for path in own}
        carried = [member for member in carried if member.path.partition("/")[0] in tops]
    for member in carried:
        file = own.get(member.path, root / member.path)
        if not file.is_file():
            missing.append(member.path)
        elif file.stat().st_size != member.size or sha256(file) != member.sha256:
            changed.append(member.path)
    alike, what = len(carried) - len(changed) - len(missing), "installed package" if own else "checkout"
    lines.append(f"{what}: {alike:,} of {len(carried):,} files are the same")
    lines += [*_named("changed", changed), *_named("not here", missing)]
    if (here := metadata.version("uv")) != manifest.versions.get("uv"):
        lines.append(f"uv: {here} here, {manifest.versions.get('uv')} in the bundle")
        same = False
    return lines, same and not changed and not missing


def _named(word: str, paths: list[str]) -> list[str]:
    left = len(paths) - _NAMED
    return [f"{word}: {path}" for path in paths[:_NAMED]] + ([f"{word}: {left} more"] if left > 0 else [])
