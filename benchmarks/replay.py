"""What a replay costs over its commands by hand: python benchmarks/replay.py [--rounds N] [--python VERSION].

In turns, tests/guides/healthy-zh.rst is replayed (world, steps, report, all of it), and its commands are run by hand in
one shell, in an empty home and a fresh environment made by that Python's own venv. Both fetch from the site's index.
Prints one JSON object: seconds of each, their medians' ratio, and the load; exit code 1 where the ratio is over 1.15.
Needs an index, and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIM = 1.15
ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "tests" / "guides" / "healthy-zh.rst"
#: The guide's steps, as its reader types them.
BY_HAND = """\
set -e
{python} -m venv base
. base/bin/activate
python3 -m venv first
source first/bin/activate
pip install --no-cache-dir numpy
python - <<'END'
import numpy as np
a = np.array([[2, 0], [1, 3]])
b = np.array([[1, 4], [5, 6]])
print(a @ b)
END
python - <<'END'
import numpy as np
print(int(np.dot([1, 2, 3], [4, 5, 6])))
END
"""


def by_hand(python: str) -> float:
    """Seconds of the guide's commands in one shell."""
    with tempfile.TemporaryDirectory() as home:
        script = BY_HAND.format(python=python)
        started = time.perf_counter()
        subprocess.run(
            ["bash", "-c", script], cwd=home, env={**os.environ, "HOME": home}, check=True, stdout=subprocess.DEVNULL
        )
        return time.perf_counter() - started


def replayed(version: str) -> float:
    """Seconds of the replay, from its command line to its report."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dlmatrix", "replay", str(GUIDE), "--python", version]
        started = time.perf_counter()
        subprocess.run([*command, "--report", f"{folder}/r"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def main() -> int:
    """Measure, print, and hold the ratio to its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default="3.11")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import uv  # noqa: PLC0415

    from dlmatrix.engines.pythons import Pythons  # noqa: PLC0415
    from dlmatrix.matrix.site import read_site  # noqa: PLC0415

    python = Pythons(site=read_site(os.environ), uv=uv.find_uv_bin()).find(ROOT, asked.python)
    if python is None:
        sys.exit(f"Python {asked.python} is not on this machine")
    load, hand, replay = os.getloadavg()[0], [], []
    for _ in range(asked.rounds):
        hand.append(round(by_hand(str(python)), 2))
        replay.append(round(replayed(asked.python), 2))
    ratio = statistics.median(replay) / statistics.median(hand)
    print(json.dumps({"by hand": hand, "replay": replay, "ratio": round(ratio, 3), "load": round(load, 1)}))
    return int(ratio > AIM)


if __name__ == "__main__":
    sys.exit(main())
