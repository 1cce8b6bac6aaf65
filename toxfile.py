"""tox's own plugin file: put pyenv's interpreters on the PATH.

Its shims exist for versions that are not selected too, and fail there; the versions' own folders do not.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
BINS = sorted(str(folder) for folder in ROOT.glob("versions/*/bin"))
os.environ["PATH"] = os.pathsep.join([*BINS, os.environ.get("PATH", "")])
