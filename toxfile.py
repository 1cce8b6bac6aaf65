"""tox's own plugin file: what tox's uv does not find by itself.

The interpreters of pyenv: its shims exist for versions that are not selected too, and fail there; the versions' own
folders do not. And the index and the CA bundle that the user told pip of.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.site import read_site

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
BINS = sorted(str(folder) for folder in PYENV.glob("versions/*/bin"))
os.environ["PATH"] = os.pathsep.join([*BINS, os.environ.get("PATH", "")])

try:
    SITE = read_site(os.environ)
except ConfigError as error:
    raise SystemExit(f"tox: {error}") from None
if SITE.ca_bundle:
    os.environ.setdefault("SSL_CERT_FILE", str(SITE.ca_bundle))
if SITE.index:
    os.environ.setdefault("UV_DEFAULT_INDEX", SITE.index)
