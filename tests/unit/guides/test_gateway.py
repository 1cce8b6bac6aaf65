"""An index that has a password: a guide installs from it, and learns nothing of it."""

from __future__ import annotations

import base64
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uv

from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import UsageError
from dlmatrix.guides.gateway import without_passwords
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import Setting, player, seconds_from_now, verdict
from dlmatrix.guides.room import in_containers
from dlmatrix.guides.steps import read_steps
from dlmatrix.matrix.model import Site
from tests.unit.guides.worlds import PYTHON

WORD = "s3cret"


class Guarded(SimpleHTTPRequestHandler):
    """An index that lets nobody in without the password."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"someone:{WORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def guarded(index: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(index)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://someone:{WORD}@127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("contained")
def test_a_guide_installs_from_it_and_is_told_nothing(root: Path, tmp_path: Path, guarded: str) -> None:
    site = Site(index=guarded)
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    where = Setting(root=root, site=site, pythons=pythons, say=print, until=seconds_from_now(300))
    text = "```bash\npip install alpha && env && (cat /proc/*/environ /proc/*/cmdline || true)\n```\n\n"
    text += "```python\nimport alpha\nprint(alpha.two())\n# 2\n```\n"
    (tmp_path / "guide.md").write_text(text, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with player(where, guide.file.name) as live:
        replay = live.play(read_steps(guide).steps, PYTHON, "")
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]
    assert WORD not in repr(replay)
    assert "someone" not in replay.played[0].said
    assert base64.b64encode(f"someone:{WORD}".encode()).decode() not in replay.played[0].said
    assert "PIP_INDEX_URL=http://guide:****@127.0.0.1:" in replay.played[0].said


def test_nobody_else_is_let_in_and_it_ends_with_the_replay(guarded: str) -> None:
    with without_passwords(Site(index=guarded, extra_indexes=("https://open.example/simple",))) as site:
        assert site.index
        assert site.extra_indexes == ("https://open.example/simple",)
        bare = site.index.partition("@")[2]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://{bare}alpha/", timeout=30)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{bare}alpha/", timeout=30)


def test_a_token_is_a_password_too() -> None:
    token = f"https://{WORD}@index.example/simple"
    with without_passwords(Site(index=token, extra_indexes=(token,))) as site:
        assert WORD not in f"{site.index} {site.extra_indexes}"


@pytest.mark.parametrize("token", [False, True])
def test_a_container_is_not_told_either(root: Path, guarded: str, token: bool) -> None:
    site = Site(index=guarded.replace("someone:", "") if token else guarded)
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    where = Setting(root=root, site=site, pythons=pythons, say=print, until=seconds_from_now(300))
    with pytest.raises(UsageError, match="has a password"):
        in_containers(where, ())
