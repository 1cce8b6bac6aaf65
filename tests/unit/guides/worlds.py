"""Guides played against an index that is made here: nothing reaches a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import uv

from dlmatrix.engines.pythons import Pythons
from dlmatrix.guides.judge import Replay
from dlmatrix.guides.outcome import diff
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import Setting, player, seconds_from_now, with_implied
from dlmatrix.guides.search import Search, search
from dlmatrix.guides.steps import read_steps
from dlmatrix.matrix.model import Site

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(folder: Path, name: str, version: str, code: str, requires: str = "") -> None:
    """A wheel of one module in a simple index."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    links = "".join(f'<a href="{one.name}">{one.name}</a>\n' for one in sorted(place.glob("*.whl")))
    (place / "index.html").write_text(links, encoding="utf-8")


def setting(root: Path, folder: Path | None, said: list[str]) -> Setting:
    """Against an index that is a folder, or one that nobody answers."""
    site = Site(find_links=(folder,), index=folder.as_uri()) if folder else Site(index="http://127.0.0.1:9/simple")
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    return Setting(root=root, site=site, pythons=pythons, say=said.append, until=seconds_from_now(300))


def played(
    root: Path, tmp_path: Path, folder: Path | None, text: str, name: str = "guide.md"
) -> tuple[Replay, Search | None, str]:
    """A guide's replay, the search where it breaks, and the change as a diff."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    guide = read_guide(tmp_path / name)
    steps = with_implied(guide, read_steps(guide))
    where = setting(root, folder, [])
    with player(where, guide.file.name) as live:
        replay = live.play(steps, PYTHON, "")
        found = search(where, guide, steps, replay, "", live) if replay.first_break else None
    return replay, found, diff(guide, steps, found.found) if found and found.found else ""


def outcomes(replay: Replay) -> list[str]:
    return [one.outcome for one in replay.played]


HEALTHY = """\
# Alpha

```bash
$ python3 -m venv mine
$ source mine/bin/activate
(mine) $ pip install alpha==1.0
$ mkdir -p work && cd work
$ export PLACE=here
$ COUNT=3
```

```bash
echo "$PLACE $COUNT $(basename "$PWD")"
```

It prints

```
here 3 work
```

```python
import alpha
print(alpha.two())
# 2
```

```console
$ python
>>> import alpha
>>> alpha.two()
2
$ sudo shutdown -r now
$ nvidia-smi
```
"""
